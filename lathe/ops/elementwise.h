#pragma once

#include "lathe/ops/columns.h"  // this header is the door to its kin too
#include "lathe/ops/rows.h"
#include "lathe/ops/sum_all.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// out = factor * x; floating, one type. `out` may be x.
constinit inline Kernel<void(const Tensor& x, float factor, Tensor& out)> scale_kernel{"scale"};
/// out = a * b; floating, one type. `out` may be a or b.
constinit inline Kernel<void(const Tensor& a, const Tensor& b, Tensor& out)> multiply_kernel{"multiply"};
/// out = x + bias in every row; x and out floating [rows, columns], bias f32 [columns]. `out` may be x.
constinit inline Kernel<void(const Tensor& x, const Tensor& bias, Tensor& out)> add_bias_kernel{"add_bias"};

/// a + b, of one shape and floating type. Differentiable in both.
Tensor add(const Tensor& a, const Tensor& b);
/// factor * x. Differentiable.
Tensor scale(const Tensor& x, float factor);
/// a * b element by element, of one shape and floating type. Differentiable in both.
Tensor multiply(const Tensor& a, const Tensor& b);
/// The same bytes under another shape of as many elements. Differentiable.
Tensor reshape(const Tensor& x, Shape shape);
/// x [..., columns] + bias, f32 [columns], in every row. Differentiable in both.
Tensor add_bias(const Tensor& x, const Tensor& bias);

/// `hidden` itself (shared bytes); its backward also seeds `auxiliary` [1] with the gradient `scale`, so that the
/// auxiliary loss counts `scale` times without leaving the block that made it.
Tensor with_loss(const Tensor& hidden, const Tensor& auxiliary, float scale);

}  // namespace lathe
