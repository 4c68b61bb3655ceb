#include "lathe/optim/update_state.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

constexpr float kMemory = 0.98f;  // as on a CPU

__device__ Verdict judge(const UpdateValues& v, const UpdateRule& rule) {
  if (!isfinite(v.loss) || !isfinite(v.gradient_norm)) return Verdict::not_finite;
  if (v.updates < rule.settling) return Verdict::applied;
  if (rule.loss_spike > 0 && v.loss > rule.loss_spike * v.mean_loss) return Verdict::loss_spike;
  if (rule.norm_spike > 0 && v.gradient_norm > rule.norm_spike * v.mean_norm) return Verdict::norm_spike;
  return Verdict::applied;
}

__device__ bool stops(Verdict verdict, const UpdateRule& rule) {
  if (verdict == Verdict::applied) return false;
  return verdict == Verdict::not_finite ? rule.not_finite_stops : rule.spike_stops;
}

__device__ void apply(UpdateValues& v, const UpdateRule& rule) {
  ++v.updates;
  float keep = fminf(kMemory, float(v.updates - 1) / float(v.updates));
  v.mean_loss = keep * v.mean_loss + (1 - keep) * v.loss;
  v.mean_norm = keep * v.mean_norm + (1 - keep) * v.gradient_norm;
  v.step_size = float(double(v.learning_rate) / (1 - pow(double(rule.beta1), double(v.updates))));
  v.second_scale = float(1 / sqrt(1 - pow(double(rule.beta2), double(v.updates))));
}

/// One thread, once a step.
__global__ void decide(const float* loss, const float* sum_of_squares, const float* learning_rate, UpdateRule rule,
                       UpdateValues* values) {
  UpdateValues v = *values;
  if (stops(v.verdict, rule)) return;
  v.loss = *loss;
  v.gradient_norm = sqrtf(*sum_of_squares);
  v.learning_rate = *learning_rate;
  v.clip = rule.clip_norm > 0 ? fminf(1.0f, rule.clip_norm / (v.gradient_norm + 1e-6f)) : 1.0f;
  v.verdict = judge(v, rule);
  v.applied = v.verdict == Verdict::applied ? 1.0f : 0.0f;
  if (v.verdict == Verdict::applied)
    apply(v, rule);
  else
    ++v.left_out;
  *values = v;
}

void decide_cuda(const Tensor& loss, const Tensor& sum_of_squares, const Tensor& learning_rate, const UpdateRule& rule,
                 Tensor& values) {
  decide<<<1, 1, 0, stream_of(values)>>>(on_device<const float>(loss), on_device<const float>(sum_of_squares),
                                         on_device<const float>(learning_rate), rule, on_device<UpdateValues>(values));
  check_launch("decide_update");
}

const bool provided = decide_update_kernel.provide(Backend::cuda, decide_cuda);

}  // namespace
}  // namespace lathe
