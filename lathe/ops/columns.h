#pragma once

#include <span>

#include "lathe/tensor/kernel.h"

namespace lathe {

/// out[:, to : to + count] = x[:, from : from + count]; one type of any size, [rows, ...] both.
constinit inline Kernel<void(const Tensor& x, int64_t from, int64_t to, int64_t count, Tensor& out)>
    copy_columns_kernel{"copy_columns"};
/// y[:, first : first + delta's columns] += delta; floating, one type.
constinit inline Kernel<void(const Tensor& delta, int64_t first, Tensor& y)> add_columns_kernel{"add_columns"};

/// Columns [first, first + count) of x [rows, columns], copied. Differentiable.
Tensor columns(const Tensor& x, int64_t first, int64_t count);

/// At most eight tensors [rows, n_i] of one type side by side: [rows, sum of n_i]. Differentiable in all.
Tensor concatenate_columns(std::span<const Tensor> parts);

/// y [rows, columns] with delta [rows, n] added in columns [first, first + n); in place when y was moved here and no
/// one else holds its bytes. Differentiable in both. In a RecomputeScope, do not move the output of an op that can be
/// recomputed here: its recomputation would not add delta.
Tensor add_columns(Tensor y, const Tensor& delta, int64_t first);

}  // namespace lathe
