#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "lathe/tensor/tensor.h"

namespace lathe {

/// One gradient per input of an op, in order; empty where none is needed or it was written in place.
using Gradients = std::vector<Tensor>;

/// How an op is differentiated. What it captures is exactly what stays alive until backward.
struct BackwardRule {
  /// dy holds one gradient per output, empty for an output that nothing used. May overwrite a dy that is unique(), and
  /// write a leaf's gradient in place through Tensor::gradient_slot().
  std::function<Gradients(std::span<const Tensor> dy)> run;
  /// Optional: computes the outputs once more into their restored bytes, from what is kept anyway; makes the op's
  /// outputs cheap to drop between forward and backward (RecomputeScope).
  std::function<void(std::span<Tensor> outputs)> again = nullptr;
  /// Recorded even when no input needs a gradient (a block whose parameters do).
  bool always = false;
};

/// Ops run while a tape is recording are written to it in order; backward() walks it in reverse and frees what each
/// entry captured as soon as it has been used. One thread uses a tape.
class Tape {
 public:
  Tape();
  ~Tape();
  Tape(const Tape&) = delete;

  /// Seeds each output with its gradient and walks back through everything recorded, which is gone afterwards.
  /// Leaves get their gradients through their sinks; a tensor of an enclosing tape gets its gradient in the backward
  /// pass that is running there. Throws InternalError when a gradient reaches neither.
  void backward(std::span<const std::pair<Tensor, Tensor>> outputs_and_gradients);
  void backward(const Tensor& output, Tensor gradient);

  bool empty() const { return entries_.empty(); }

 private:
  friend void record(std::initializer_list<Tensor*>, std::initializer_list<const Tensor*>, BackwardRule);
  friend void on_backward(std::function<void()>);
  struct Entry {
    std::vector<std::shared_ptr<GradientNode>> outputs;  ///< none: a mark left by on_backward
    std::vector<std::shared_ptr<GradientNode>> inputs;
    BackwardRule rule;
  };
  uint64_t id_;
  std::vector<Entry> entries_;
};

/// Makes `tape` the recording tape of this thread; null pauses recording.
class Recording {
 public:
  explicit Recording(Tape* tape);
  ~Recording();
  Recording(const Recording&) = delete;
  static Tape* current();

 private:
  Tape* previous_;
};

/// Called last by every op: notes how to differentiate `outputs` if a tape records and an input needs it.
void record(std::initializer_list<Tensor*> outputs, std::initializer_list<const Tensor*> inputs, BackwardRule rule);

/// Runs `action` when backward() comes back to this point of the recording tape, if there is one.
void on_backward(std::function<void()> action);

/// True while ops must keep what their backward needs: a tape records and one of `inputs` needs a gradient.
bool recording(std::initializer_list<const Tensor*> inputs);

/// Recomputation finer than a block: outputs of ops that have BackwardRule::again, recorded while this object lives,
/// are dropped by finish() and computed once more, in order, when backward comes back to it (Korthikanti et al. 2022).
/// Memory: what is dropped exists in one block at a time instead of in all.
class RecomputeScope {
 public:
  RecomputeScope();
  ~RecomputeScope();
  RecomputeScope(const RecomputeScope&) = delete;
  /// Call once, after the last op. `keep` is what leaves the scope, and stays.
  void finish(const Tensor& keep);

  struct Output {
    std::weak_ptr<Storage> storage;
    int64_t offset;
    Shape shape;
    DType dtype;
  };
  struct Refill {
    std::vector<Output> outputs;
    std::function<void(std::span<Tensor>)> again;
  };

 private:
  friend void record(std::initializer_list<Tensor*>, std::initializer_list<const Tensor*>, BackwardRule);
  RecomputeScope* previous_;
  std::vector<Refill> refills_;
};

}  // namespace lathe
