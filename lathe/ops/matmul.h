#pragma once

#include <optional>

#include "lathe/ops/activation.h"
#include "lathe/tensor/tensor.h"

namespace lathe {

/// What is done to a product while it is still near: added in registers, activated in L1.
struct Epilogue {
  const Tensor* bias = nullptr;               ///< f32 [out]
  const Tensor* residual = nullptr;           ///< [..., out], x's dtype
  std::optional<Activation> activation = {};  ///< of the product with its bias; without a residual
};

/// x wᵀ (+ bias) (+ residual), or activation(x wᵀ (+ bias)): x [..., in], weight [out, in] -> [..., out], in x's dtype.
/// f32 or bf16, both operands alike; sums are f32, each in the order of `in` whatever the number of rows or threads.
/// An activation makes the bits of activate(), which it saves a pass over memory on CPUs when no tape records.
/// Throws Error when the shapes or types do not fit, or an activation has a residual.
/// Differentiable in all four; keeps x and weight. Gradients of weight and bias are f32 and go straight into the
/// gradient slots of leaves; the residual's is dy itself.
Tensor matmul(const Tensor& x, const Tensor& weight, const Epilogue& epilogue = {});

/// matmul with a weight for each group: rows [offsets[g], offsets[g + 1]) of x [rows, in] are multiplied by
/// weight[g] of weight [groups, out, in]; offsets [groups + 1] i32. Rows of no group become 0.
/// Work and workspace are counted for all rows, so nothing depends on the values of `offsets`.
/// Differentiable in x and weight.
Tensor matmul_groups(const Tensor& x, const Tensor& weight, const Tensor& offsets);

}  // namespace lathe
