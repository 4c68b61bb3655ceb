#include "lathe/models/norm.h"

#include "lathe/ops/layer_norm.h"

namespace lathe {

RmsNorm::RmsNorm(const std::string& name, int64_t width, double eps, float weight_offset)
    : weight_({width}, {whole_vector(name + ".weight", width)}, weight_offset == 0 ? Init::ones() : Init::zeros(),
              true),
      eps_(float(eps)),
      weight_offset_(weight_offset) {}

LayerNorm::LayerNorm(const std::string& name, int64_t width, double eps)
    : weight_({width}, {whole_vector(name + ".weight", width)}, Init::ones(), true),
      bias_({width}, {whole_vector(name + ".bias", width)}, Init::zeros(), true),
      eps_(float(eps)) {}

Tensor LayerNorm::operator()(const Tensor& x) const { return layer_norm(x, weight_.value, bias_.value, eps_); }

void LayerNorm::list(Inventory& inventory) {
  inventory.add(weight_);
  inventory.add(bias_);
}

}  // namespace lathe
