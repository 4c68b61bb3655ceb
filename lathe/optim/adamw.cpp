#include "lathe/optim/adamw.h"

#include <cmath>
#include <set>

#include "lathe/nn/linear.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

void update_plain(const AdamWPart& part, const UpdateValues& u) {
  const AdamWRule& rule = part.rule;
  float *w = part.kept.data<float>(), *m = part.first.data<float>(), *v = part.second.data<float>();
  for (int64_t i = 0; i < part.kept.elements(); ++i) {
    float g = part.gradient.data<float>()[i] * u.clip;
    m[i] += (1 - rule.beta1) * (g - m[i]);
    v[i] = rule.beta2 * v[i] + (1 - rule.beta2) * g * g;
    w[i] -=
        u.learning_rate * rule.decay * w[i] + u.step_size * m[i] / (std::sqrt(v[i]) * u.second_scale + rule.epsilon);
    if (part.value) part.value.data<BF16>()[i] = BF16(w[i]);
  }
}

void adamw_plain(std::span<const AdamWPart> parts, const Tensor& state, Tensor&) {
  const UpdateValues& u = *state.data<UpdateValues>();
  if (u.applied == 0) return;
  for (const AdamWPart& part : parts) update_plain(part, u);
}

const bool provided = adamw_kernel.provide(Isa::plain, adamw_plain);

/// The parameters of all linears: what is a matrix but not among them is a table.
std::set<const Parameter*> parameters_of_linears(const Inventory& inventory) {
  Inventory linears;
  for (Linear* linear : inventory.linears) linear->list(linears);
  return {linears.parameters.begin(), linears.parameters.end()};
}

Tensor moment_of(const Parameter& parameter) {
  Tensor moment = Tensor::empty(parameter.kept.shape());
  fill(moment, 0);
  return moment;
}

}  // namespace

AdamW::AdamW(const AdamWSettings& settings, const Inventory& inventory) {
  PurposeScope scope(Purpose::optimizer);
  std::set<const Parameter*> linears = parameters_of_linears(inventory);
  for (Parameter* parameter : inventory.parameters) {
    if (!parameter->trained()) continue;
    bool decays = !parameter->wide && (settings.decay_embeddings || linears.count(parameter) > 0);
    AdamWRule rule{float(settings.beta1), float(settings.beta2), float(settings.epsilon),
                   decays ? float(settings.weight_decay) : 0.0f};
    entries_.push_back({parameter, rule, moment_of(*parameter), moment_of(*parameter)});
  }
}

void AdamW::update(const UpdateState& state) {
  if (entries_.empty()) return;
  std::vector<AdamWPart> parts;
  Work work;
  for (Entry& entry : entries_) {
    Parameter& p = *entry.parameter;
    Tensor value;
    if (p.value.dtype() != DType::f32 && !p.shard) value = p.value.detached();  // a shard is gathered when it is used
    int64_t n = p.kept.elements();
    work.flops += 14 * n, work.bytes += 28 * n + (value ? value.bytes() : 0);
    parts.push_back({p.gradient, p.kept, entry.first, entry.second, value, entry.rule});
  }
  adamw_kernel(work, parts, state.values(), parts.front().kept);
}

}  // namespace lathe
