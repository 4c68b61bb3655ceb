#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// y = cap * tanh(x / cap); floating, one type and shape. `y` may be x.
constinit inline Kernel<void(const Tensor& x, float cap, Tensor& y)> softcap_kernel{"softcap"};
/// dx = dy * (1 - (y / cap)^2). dx may be dy or y.
constinit inline Kernel<void(const Tensor& y, const Tensor& dy, float cap, Tensor& dx)> softcap_backward_kernel{
    "softcap_backward"};

/// Bends numbers softly into [-cap, cap] (Gemma 2): cap * tanh(x / cap), element by element. Throws Error for a cap
/// that is not positive. Differentiable. Keeps the output. Overwrites x and returns it where x is unique() and no leaf:
/// use only what is returned.
Tensor softcap(Tensor x, float cap);

}  // namespace lathe
