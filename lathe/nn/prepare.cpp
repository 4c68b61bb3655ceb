#include "lathe/nn/prepare.h"

#include <algorithm>

#include "lathe/nn/weight.h"

namespace lathe {

void prepare_for_use(Model& model, DType dtype, const std::function<void(const Inventory&)>& fill) {
  Inventory all = model.inventory(), of_weights;
  for (Weight* weight : all.weights) {
    Inventory one;
    weight->list(one);
    weight->list(of_weights);
    weight->materialize(dtype);
    if (fill) fill(one);
    weight->prepare();
  }
  Inventory rest;
  for (Parameter* parameter : all.parameters) {
    if (std::find(of_weights.parameters.begin(), of_weights.parameters.end(), parameter) != of_weights.parameters.end())
      continue;
    parameter->materialize(dtype);
    rest.add(*parameter);
  }
  if (fill) fill(rest);
}

}  // namespace lathe
