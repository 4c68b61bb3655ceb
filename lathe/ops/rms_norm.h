#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// y = x * rstd * (weight + weight_offset), rstd = 1 / sqrt(mean(x^2) + eps) of each row; rstd f32 [rows] is written
/// unless empty.
constinit inline Kernel<void(const Tensor& x, const Tensor& weight, float eps, float weight_offset, Tensor& y,
                             Tensor& rstd)>
    rms_norm_kernel{"rms_norm"};
/// dx of each row, and dweight's sums over each row chunk (column_sums.h); either may be empty. dx may be dy.
constinit inline Kernel<void(const Tensor& x, const Tensor& weight, float weight_offset, const Tensor& rstd,
                             const Tensor& dy, Tensor& dx, Tensor& partials)>
    rms_norm_backward_kernel{"rms_norm_backward"};

/// Root mean square normalization of each row (Zhang and Sennrich 2019).
///   x floating [..., columns], weight f32 [columns] -> as x
/// Weights count as weight + weight_offset (Gemma keeps them around 0).
/// Differentiable in both. Keeps x and one number a row; the output can be dropped and recomputed.
Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps, float weight_offset = 0);

}  // namespace lathe
