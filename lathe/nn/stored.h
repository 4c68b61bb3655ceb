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
  std::vector<Slice> slices;  ///< which parts of which named tensors the rows of `kept` are, in order
  int users = 1;              ///< modules that use it: more than one when tied
  Init init;

  const std::string& name() const { return slices.front().name; }
};

/// A trained tensor. Its gradient is f32, of the shape of `kept`, and survives from backward to the optimizer.
class Parameter : public Stored, public GradientSink {
 public:
  /// `wide`: f32 whatever the compute dtype (vectors: norms and biases).
  Parameter(Shape shape, std::vector<Slice> slices, Init init, bool wide = false);
  Parameter(const Parameter&) = delete;

  /// Takes bytes for training: `kept` in f32, `value` in `compute` (the same bytes where that is f32), the gradient.
  void materialize_trained(DType compute);
  /// Takes bytes for use alone: `value` in `compute`, which is also `kept`.
  void materialize(DType compute);
  /// Converts `kept` into `value` after `kept` changed; no-op where they share bytes, or where a wrapper gathers.
  void refresh();
  bool trained() const { return value.is_leaf(); }
  void freeze() { value.make_leaf(nullptr); }

  /// Before the first micro-batch of a step: the next gradient overwrites.
  void begin_step() { written_ = false; }
  /// Every block that uses it calls this when its backward is done; the last of `users` sums the gradient over
  /// `sum_over` and, where sharded, brings it into the shape of `kept`. `last` tells the last micro-batch of a step.
  void complete(bool last);
  /// Zeroes a gradient that nothing has reached since begin_step().
  void settle_gradient();

  std::optional<GradientSlot> slot() override;
  void receive(const Tensor& gradient) override;

  Tensor gradient;
  std::vector<Communicator*> sum_over;  ///< replicated over these, with different gradients
  Communicator* shard = nullptr;        ///< `kept` is one rank's rows of `value`
  const bool wide;

 private:
  bool written_ = false;  ///< `gradient` (or `whole_`) holds part of this step's gradient
  int done_ = 0;
  Tensor whole_;  ///< sharded only: the gradient of `value` until complete() scatters it
  bool gradient_begun_ = false;
};

/// One slice that is all of tensor `name`: [rows, columns], or a vector.
Slice whole_matrix(std::string name, int64_t rows, int64_t columns, bool transposed = false);
Slice whole_vector(std::string name, int64_t elements);

/// Fills `parameter.kept` as its Init says; element (row, column) of a named tensor depends on `random`, that name and
/// that place alone, so every layout of ranks begins with the same model.
void initialize(Parameter& parameter, const Random& random);

}  // namespace lathe
