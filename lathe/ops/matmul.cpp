#include "lathe/ops/matmul.h"

#include "lathe/ops/column_sums.h"
#include "lathe/ops/matmul_checks.h"
#include "lathe/ops/matmul_product.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

/// What backward needs to know of an operand whose bytes it does not read: the leaf, or a shape without bytes.
Tensor target_of(const Tensor& operand) { return operand.is_leaf() ? operand : Tensor::declare(operand.shape()); }

Tensor weight_gradient(const Tensor& weight, const Tensor& dy, const Tensor& x) {
  GradientTarget target = gradient_target(weight);
  multiply({.a = {dy, true}, .b = {x, true}, .add = target.add}, target.into);
  return target.result();
}

Tensor input_gradient(const Tensor& dy, const Tensor& weight) {
  Tensor dx = Tensor::empty(dy.shape().with_columns(weight.shape()[1]), dy.dtype());
  multiply({.a = {dy}, .b = {weight, true}}, dx);
  return dx;
}

/// The gradients of x, weight, bias and residual; x's bytes go as soon as the weight has had them.
BackwardRule rule_of(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual) {
  bool dx = x.needs_gradient(), dresidual = residual.needs_gradient();
  Tensor dweight = weight.needs_gradient() ? target_of(weight) : Tensor();
  Tensor dbias = bias.needs_gradient() ? target_of(bias) : Tensor();
  Tensor kept = dweight ? x.detached() : Tensor(), factor = dx ? weight.detached() : Tensor();
  return {[=](std::span<const Tensor> dy) mutable {
    Gradients gradients(4);
    if (dweight) gradients[1] = weight_gradient(dweight, dy[0], kept);
    kept = Tensor();
    if (dbias) gradients[2] = bias_gradient(dy[0], dbias);
    if (dx) gradients[0] = input_gradient(dy[0], factor);
    if (dresidual) gradients[3] = dy[0];
    return gradients;
  }};
}

Tensor group_weight_gradient(const Tensor& weight, const Tensor& dy, const Tensor& x, const Tensor& offsets) {
  GradientTarget target = gradient_target(weight);
  multiply_groups({.a = {dy, true}, .b = {x, true}, .add = target.add}, offsets, target.into);
  return target.result();
}

Tensor group_input_gradient(const Tensor& dy, const Tensor& weight, const Tensor& offsets) {
  Tensor dx = Tensor::empty({dy.shape()[0], weight.shape()[2]}, dy.dtype());
  multiply_groups({.a = {dy}, .b = {weight, true}}, offsets, dx);
  return dx;
}

void check_groups(const Tensor& x, const Tensor& weight, const Tensor& offsets) {
  require(x.shape().rank() == 2 && weight.shape().rank() == 3 && x.shape()[1] == weight.shape()[2],
          "matmul_groups: weight ", weight.shape(), " does not fit x ", x.shape(), "; it must be [groups, out, ",
          x.shape().columns(), "]");
  require(x.dtype() == weight.dtype() && (x.dtype() == DType::f32 || x.dtype() == DType::bf16), "matmul_groups: x is ",
          name_of(x.dtype()), " and weight ", name_of(weight.dtype()), "; both must be f32 or both bf16");
  require(offsets.dtype() == DType::i32 && offsets.elements() == weight.shape()[0] + 1, "matmul_groups: offsets ",
          offsets.shape(), " ", name_of(offsets.dtype()), " does not fit ", weight.shape()[0],
          " groups; it must be i32 [", weight.shape()[0] + 1, "]");
}

}  // namespace

Tensor matmul(const Tensor& x, const Tensor& weight, const Epilogue& epilogue) {
  Tensor y = Tensor::empty(checked_product(x, weight.shape(), weight.dtype(), epilogue), x.dtype());
  Tensor none;
  const Tensor& bias = epilogue.bias ? *epilogue.bias : none;
  const Tensor& residual = epilogue.residual ? *epilogue.residual : none;
  bool records = recording({&x, &weight, &bias, &residual}), apart = records || !activates_products();
  multiply({.a = {x},
            .b = {weight},
            .bias = bias,
            .residual = residual,
            .activation = apart ? std::nullopt : epilogue.activation},
           y);
  if (records) record({&y}, {&x, &weight, &bias, &residual}, rule_of(x, weight, bias, residual));
  return apart && epilogue.activation ? activate(std::move(y), *epilogue.activation) : y;
}

Tensor matmul_groups(const Tensor& x, const Tensor& weight, const Tensor& offsets) {
  check_groups(x, weight, offsets);
  Tensor y = Tensor::empty({x.shape()[0], weight.shape()[1]}, x.dtype());
  multiply_groups({.a = {x}, .b = {weight}}, offsets, y);
  if (!recording({&x, &weight})) return y;
  bool dx = x.needs_gradient();
  Tensor dweight = weight.needs_gradient() ? target_of(weight) : Tensor();
  Tensor kept = dweight ? x.detached() : Tensor(), factor = dx ? weight.detached() : Tensor();
  record({&y}, {&x, &weight}, {[=, group_offsets = offsets](std::span<const Tensor> dy) {
           Gradients gradients(2);
           if (dweight) gradients[1] = group_weight_gradient(dweight, dy[0], kept, group_offsets);
           if (dx) gradients[0] = group_input_gradient(dy[0], factor, group_offsets);
           return gradients;
         }});
  return y;
}

}  // namespace lathe
