#include "lathe/nn/prepare.h"

#include <algorithm>

#include "lathe/nn/weight.h"
#include "lathe/tensor/populate.h"

namespace lathe {
namespace {

/// What all that persists takes, at least: weights may be padded.
int64_t bytes_of(const Inventory& all, DType dtype) {
  int64_t bytes = 0;
  for (const Stored* stored : all.stored)
    bytes += stored->value.elements() * (stored->value.dtype() == DType::u8 ? 1 : size_of(dtype));
  return bytes;
}

}  // namespace

void prepare_for_use(Model& model, DType dtype, const std::function<void(const Inventory&)>& fill) {
  Inventory all = model.inventory(), of_weights;
  populate(bytes_of(all, dtype));
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
