#pragma once

#include <string>
#include <vector>

#include "lathe/comm/communicator.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/tensor.h"

namespace lathe {

/// A rectangle of a named tensor, as a checkpoint holds that tensor whole. One-dimensional tensors have one column.
struct Slice {
  std::string name;
  int64_t whole_rows = 0, whole_columns = 1;  ///< of the named tensor, as [out, in]
  int64_t first_row = 0, rows = 0;
  int64_t first_column = 0, columns = 1;
  bool transposed = false;  ///< the file has it as [in, out] (GPT-2's Conv1D)
  bool vector = false;      ///< the file has one extent
};

/// How a tensor that no checkpoint provides begins.
struct Init {
  enum class Kind : uint8_t { zeros, ones, normal } kind = Kind::zeros;
  float deviation = 0;
  static Init zeros() { return {}; }
  static Init ones() { return {Kind::ones, 0}; }
  static Init normal(float deviation) { return {Kind::normal, deviation}; }
};

/// A tensor that persists: trained or not, in any format. Declared first, without bytes; wrappers then decide what this
/// rank keeps; only then is it given bytes.
class Stored {
 public:
  virtual ~Stored() = default;
  Tensor value;  ///< what ops read
  Tensor kept;   ///< what this rank keeps and a checkpoint saves: `value`, whole rows of it, or the f32 master
  std::vector<Slice> slices;  ///< which parts of which named tensors the rows of `kept` are, in order; rows beyond
                              ///< are padding, zero
  int users = 1;  ///< blocks that use it: more than one when tied or shared; complete_gradients() counts them
  Init init;

  const std::string& name() const { return slices.front().name; }
  int64_t elements() const;  ///< of `kept`, without padding
};

/// A trained tensor. Its gradient is f32, of the shape of `kept`, and has bytes from the backward that first reaches it
/// to the end of the step: while activations are many, gradients are few. A builder of steps with several micro-batches
/// gives it bytes that stay.
class Parameter : public Stored, public GradientSink {
 public:
  /// `wide`: f32 whatever the compute dtype (vectors: norms and biases).
  Parameter(Shape shape, std::vector<Slice> slices, Init init, bool wide = false);
  Parameter(const Parameter&) = delete;

  /// Takes bytes for training: `kept` in f32, `value` in `compute` (the same bytes where that is f32).
  void materialize_trained(DType compute);
  /// Takes bytes for use alone: `value` in `compute`, which is also `kept`; no fewer than `least_bytes`.
  void materialize(DType compute, int64_t least_bytes = 0);
  /// Converts `kept` into `value` after `kept` changed; no-op where they share bytes, or where a wrapper gathers.
  void refresh();
  bool trained() const { return value.is_leaf(); }
  void freeze() { value.make_leaf(nullptr); }

  /// Before the first micro-batch of a step: the next gradient overwrites.
  void begin_step(int64_t micro_batches = 1);
  /// Every block that uses it calls this when its backward is done (complete_gradients() sees to that). The last of
  /// `users` in a micro-batch brings a sharded gradient into the shape of `kept`; the last of the step finishes it.
  void complete();
  /// After backward of the last micro-batch, unless complete() was there before: zeroes a gradient that nothing
  /// reached, and sums it over `sum_over`. The ranks must call it for the same parameters in the same order.
  void finish_step();
  /// After the update: gives the gradient's bytes back.
  void end_step() { gradient = Tensor(); }

  std::optional<GradientSlot> slot() override;
  void receive(const Tensor& gradient) override;

  Tensor gradient;
  std::vector<Communicator*> sum_over;  ///< replicated over these, with different gradients
  Communicator* shard = nullptr;        ///< `kept` is one rank's rows of `value`
  const bool wide;

 private:
  bool written_ = false;   ///< `gradient` (`whole_` where sharded) holds a gradient to add to
  bool begun_ = false;     ///< sharded only: `gradient` holds part of this step's gradient
  bool finished_ = false;  ///< `gradient` is this step's
  int64_t completed_ = 0, awaited_ = 1;
  Tensor whole_;  ///< sharded only: the gradient of `value` until complete() scatters it

  void scatter();
  Tensor& gradient_with_bytes();
};

/// One slice that is all of tensor `name`: [rows, columns], or a vector.
Slice whole_matrix(std::string name, int64_t rows, int64_t columns, bool transposed = false);
Slice whole_vector(std::string name, int64_t elements);

/// Fills `parameter.kept` as its Init says; element (row, column) of a named tensor depends on `random`, that name and
/// that place alone, so every layout of ranks begins with the same model.
void initialize(Parameter& parameter, const Random& random);

}  // namespace lathe
