#include "lathe/optim/adamw.h"

#include <cmath>
#include <set>

#include "lathe/nn/linear.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

void adamw_plain(const Tensor& gradient, const Tensor& state, const AdamWRule& rule, Tensor& kept, Tensor& first,
                 Tensor& second, Tensor& value) {
  const UpdateValues& u = *state.data<UpdateValues>();
  if (u.applied == 0) return;
  float *w = kept.data<float>(), *m = first.data<float>(), *v = second.data<float>();
  for (int64_t i = 0; i < kept.elements(); ++i) {
    float g = gradient.data<float>()[i] * u.clip;
    m[i] += (1 - rule.beta1) * (g - m[i]);
    v[i] = rule.beta2 * v[i] + (1 - rule.beta2) * g * g;
    w[i] -=
        u.learning_rate * rule.decay * w[i] + u.step_size * m[i] / (std::sqrt(v[i]) * u.second_scale + rule.epsilon);
    if (value) value.data<BF16>()[i] = BF16(w[i]);
  }
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
  for (Entry& entry : entries_) {
    Parameter& p = *entry.parameter;
    Tensor value;
    if (p.value.dtype() != DType::f32 && !p.shard) value = p.value.detached();  // a shard is gathered when it is used
    int64_t n = p.kept.elements();
    adamw_kernel({14 * n, 28 * n + (value ? 2 * n : 0)}, p.gradient, state.values(), entry.rule, p.kept, entry.first,
                 entry.second, value);
    if (!value) p.refresh();
  }
}

}  // namespace lathe
