#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// out[i] = x[ids[i]]; x [n, ...] of any type, ids i32 [rows].
constinit inline Kernel<void(const Tensor& x, const Tensor& ids, Tensor& out)> gather_rows_kernel{"gather_rows"};
/// out[ids[i]] += x[i], in order of i; x and out floating, of any two types. `workspace` u8
/// [scatter_workspace_bytes()], or empty where that is 0.
constinit inline Kernel<void(const Tensor& x, const Tensor& ids, Tensor& out, Tensor& workspace)> scatter_rows_kernel{
    "scatter_rows"};

/// What scatter_rows_kernel needs on `device` for x [rows, columns]: on a GPU the order of the ids, and sums of rows
/// of the same id that different blocks add up.
int64_t scatter_workspace_bytes(Device device, int64_t rows, int64_t columns);
/// Rows of equal ids that a block of the GPU's kernel adds up.
constexpr int64_t kScatterPiece = 64;

/// out[ids[i]] += x[i], in order of i; in place, never recorded. Equal bits in every run.
void scatter_rows(const Tensor& x, const Tensor& ids, Tensor& out);

/// Rows [first, first + count) of x, sharing its bytes. Differentiable.
Tensor rows(const Tensor& x, int64_t first, int64_t count);

/// x [n, columns], ids i32 [rows] -> [rows, columns], row i being x[ids[i]]. Ids are not checked here.
/// Differentiable in x; the gradients of an id given twice add up in x's type.
Tensor gather_rows(const Tensor& x, const Tensor& ids);

}  // namespace lathe
