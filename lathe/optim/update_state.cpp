#include "lathe/optim/update_state.h"

#include <cmath>

#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

constexpr float kMemory = 0.98f;  // of the running averages: about 50 updates

Verdict judge(const UpdateValues& v, const UpdateRule& rule) {
  if (!std::isfinite(v.loss) || !std::isfinite(v.gradient_norm)) return Verdict::not_finite;
  if (v.updates < rule.settling) return Verdict::applied;
  if (rule.loss_spike > 0 && v.loss > rule.loss_spike * v.mean_loss) return Verdict::loss_spike;
  if (rule.norm_spike > 0 && v.gradient_norm > rule.norm_spike * v.mean_norm) return Verdict::norm_spike;
  return Verdict::applied;
}

bool stops(Verdict verdict, const UpdateRule& rule) {
  if (verdict == Verdict::applied) return false;
  return verdict == Verdict::not_finite ? rule.not_finite_stops : rule.spike_stops;
}

void apply(UpdateValues& v, const UpdateRule& rule) {
  ++v.updates;
  float keep = std::min(kMemory, float(v.updates - 1) / float(v.updates));
  v.mean_loss = keep * v.mean_loss + (1 - keep) * v.loss;
  v.mean_norm = keep * v.mean_norm + (1 - keep) * v.gradient_norm;
  v.step_size = float(v.learning_rate / (1 - std::pow(double(rule.beta1), v.updates)));
  v.second_scale = float(1 / std::sqrt(1 - std::pow(double(rule.beta2), v.updates)));
}

void decide_cpu(const Tensor& loss, const Tensor& sum_of_squares, const Tensor& learning_rate, const UpdateRule& rule,
                Tensor& values) {
  UpdateValues& v = *values.data<UpdateValues>();
  if (stops(v.verdict, rule)) return;
  v.loss = *loss.data<float>();
  v.gradient_norm = std::sqrt(*sum_of_squares.data<float>());
  v.learning_rate = *learning_rate.data<float>();
  v.clip = rule.clip_norm > 0 ? std::min(1.0f, rule.clip_norm / (v.gradient_norm + 1e-6f)) : 1.0f;
  v.verdict = judge(v, rule);
  v.applied = v.verdict == Verdict::applied ? 1.0f : 0.0f;
  if (v.verdict == Verdict::applied)
    apply(v, rule);
  else
    ++v.left_out;
}

const bool provided = decide_update_kernel.provide(Isa::plain, decide_cpu);

}  // namespace

UpdateState::UpdateState(const UpdateRule& rule) : rule_(rule) {
  PurposeScope scope(Purpose::optimizer);
  values_ = Tensor::empty({int64_t(sizeof(UpdateValues) / sizeof(float))});
  restore({});
}

void UpdateState::restore(UpdateValues values) {
  values.verdict = Verdict::applied;
  upload(std::span<const UpdateValues>(&values, 1), values_);
}

void UpdateState::decide(const Tensor& loss, const Tensor& sum_of_squares, const Tensor& learning_rate) {
  decide_update_kernel({20, values_.bytes()}, loss, sum_of_squares, learning_rate, rule_, values_);
}

std::optional<UpdateValues> UpdateState::read() const { return read_value<UpdateValues>(values_); }

}  // namespace lathe
