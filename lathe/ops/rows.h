#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// out[i] = x[ids[i]]; x [n, ...] of any type, ids i32 [rows].
constinit inline Kernel<void(const Tensor& x, const Tensor& ids, Tensor& out)> gather_rows_kernel{"gather_rows"};
/// out[ids[i]] += x[i], in order of i; x and out floating, of any two types.
constinit inline Kernel<void(const Tensor& x, const Tensor& ids, Tensor& out)> scatter_rows_kernel{"scatter_rows"};

/// Rows [first, first + count) of x, sharing its bytes. Differentiable.
Tensor rows(const Tensor& x, int64_t first, int64_t count);

/// x [n, columns], ids i32 [rows] -> [rows, columns], row i being x[ids[i]]. Ids are not checked here.
/// Differentiable in x; the gradients of an id given twice add up in x's type.
Tensor gather_rows(const Tensor& x, const Tensor& ids);

}  // namespace lathe
