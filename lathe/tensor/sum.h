#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// sum += x; both floating, any two types, as many elements.
constinit inline Kernel<void(const Tensor& x, Tensor& sum)> accumulate_kernel{"accumulate"};
/// out = a + b; floating, one type.
constinit inline Kernel<void(const Tensor& a, const Tensor& b, Tensor& out)> sum_kernel{"sum"};
/// out = x, converted; floating, any two types.
constinit inline Kernel<void(const Tensor& x, Tensor& out)> copy_kernel{"copy"};
/// out = value.
constinit inline Kernel<void(float value, Tensor& out)> fill_kernel{"fill"};

/// In-place, never recorded. Throw InternalError when element counts differ.
void accumulate(const Tensor& x, Tensor& sum);
void copy(const Tensor& x, Tensor& out);
void fill(Tensor& out, float value);
Tensor sum(const Tensor& a, const Tensor& b);
Tensor copied(const Tensor& x);
Tensor zeros(Shape shape, DType dtype = DType::f32);
/// x in another floating type; x itself when it has that type already.
Tensor converted(const Tensor& x, DType dtype);

}  // namespace lathe
