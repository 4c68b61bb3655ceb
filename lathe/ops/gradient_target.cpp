#include "lathe/ops/gradient_target.h"

namespace lathe {

GradientTarget gradient_target(const Tensor& input) {
  if (auto slot = input.gradient_slot()) return {slot->into, slot->add, true};
  PurposeScope gradients(Purpose::gradients);
  return {Tensor::empty(input.shape()), false, false};
}

Tensor gradient_over(const Tensor& spent, const Tensor& like) {
  if (spent.unique() && spent.dtype() == like.dtype() && spent.elements() == like.elements())
    return spent.alias(like.shape());
  return Tensor::empty_like(like);
}

}  // namespace lathe
