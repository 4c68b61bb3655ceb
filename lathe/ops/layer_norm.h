#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// y = (x - mean) * rstd * weight + bias (may be empty), rstd = 1 / sqrt(variance + eps) of each row; stats f32
/// [2, rows] receives means, then rstds, unless empty.
constinit inline Kernel<void(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y,
                             Tensor& stats)>
    layer_norm_kernel{"layer_norm"};
/// dx of each row, and sums over each row chunk (column_sums.h): dweight's columns, then (twice as wide) dbias's.
/// Either may be empty. dx may be dy.
constinit inline Kernel<void(const Tensor& x, const Tensor& weight, const Tensor& stats, const Tensor& dy, Tensor& dx,
                             Tensor& partials)>
    layer_norm_backward_kernel{"layer_norm_backward"};

/// Normalization of each row to mean 0 and variance 1 (Ba et al. 2016).
///   x floating [..., columns], weight and bias (or an empty tensor) f32 [columns] -> as x
/// Differentiable in all. Keeps x and two numbers a row; the output can be dropped and recomputed.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps);

}  // namespace lathe
