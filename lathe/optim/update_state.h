#pragma once

#include <optional>

#include "lathe/tensor/kernel.h"

namespace lathe {

/// Why an update was made or left out.
enum class Verdict : int32_t { applied = 0, not_finite = 1, loss_spike = 2, norm_spike = 3 };

/// What an optimizer's kernels read and a log reports; lives on the device.
struct UpdateValues {
  float applied = 0;        ///< 1, or 0: the kernels leave everything as it is
  float learning_rate = 0;  ///< of this step
  float step_size = 0;      ///< learning_rate / (1 - beta1^updates)
  float second_scale = 0;   ///< 1 / sqrt(1 - beta2^updates)
  float clip = 1;           ///< what gradients are multiplied by
  float loss = 0;
  float gradient_norm = 0;  ///< before clipping
  Verdict verdict = Verdict::applied;
  float mean_loss = 0;  ///< running averages over applied updates, to tell spikes by
  float mean_norm = 0;
  int32_t updates = 0;   ///< applied so far
  int32_t left_out = 0;  ///< left out so far
};

/// What is constant in a run.
struct UpdateRule {
  float beta1 = 0.9f, beta2 = 0.95f;
  float clip_norm = 1;     ///< largest norm of all gradients together; 0: any
  float loss_spike = 0;    ///< leave out an update whose loss is above this many times the running average; 0: never
  float norm_spike = 0;    ///< the same for the norm of the gradients
  int32_t settling = 100;  ///< updates before which nothing counts as a spike
  /// An update that is left out for this reason is the last that changes anything, the values included: whoever reads
  /// them later, with more steps under way, finds the weights before the trouble.
  bool not_finite_stops = false, spike_stops = false;
};

/// Decides about one update: reads loss [1], sum_of_squares [1] and learning_rate [1], and moves `values` on; after an
/// update that stops the run it leaves them as they are.
constinit inline Kernel<void(const Tensor& loss, const Tensor& sum_of_squares, const Tensor& learning_rate,
                             const UpdateRule& rule, Tensor& values)>
    decide_update_kernel{"decide_update"};

/// The small part of an optimizer's state that changes from step to step. Its tensors keep their addresses, no kernel
/// takes a changing scalar, and an update that must not happen is predicated on the device: no branch reads a value.
class UpdateState {
 public:
  explicit UpdateState(const UpdateRule& rule);  ///< takes bytes on the current Runtime

  /// Before the kernels of an update: all scalars f32 [1].
  void decide(const Tensor& loss, const Tensor& sum_of_squares, const Tensor& learning_rate);
  const Tensor& values() const { return values_; }  ///< UpdateValues
  Tensor& values() { return values_; }
  /// Goes on from the values of another run, even where that run was stopped.
  void restore(UpdateValues values);
  /// What the last update did; nothing on meta.
  std::optional<UpdateValues> read() const;

 private:
  UpdateRule rule_;
  Tensor values_;
};

}  // namespace lathe
