#pragma once
// The ways a GPU multiplies matrices. Each computes a MatrixProduct whose pointers are on the device.

#include <cuda_runtime.h>

#include "lathe/ops/matmul_matrix.h"

namespace lathe {

/// Rows of a that few_rows_fit() takes.
constexpr int64_t kFewRows = 32;
/// Whether multiply_few_rows() can: bf16, neither operand across, at most kFewRows rows, depth a multiple of 8, bytes
/// aligned to 16.
bool few_rows_fit(const MatrixProduct& product);
/// Reads b once, at the speed of memory. Each element is summed in one order whatever the number of rows.
/// `b_is_constant`: no kernel of this program writes b, so that it may be read before earlier kernels end.
void multiply_few_rows(const MatrixProduct& product, bool b_is_constant, cudaStream_t stream);

/// By the library, or where it cannot slowly; not both `add` and `residual`. Its workspace has kGpuProductWorkspace
/// bytes and, with a bias, one row of out behind them. `out_stride`: elements from one row of out, and of the residual,
/// to the next; 0: they are contiguous.
void multiply_many_rows(const MatrixProduct& product, cudaStream_t stream, int64_t out_stride = 0);

/// Any product, slowly.
void multiply_by_tiles(const MatrixProduct& product, cudaStream_t stream, int64_t out_stride = 0);

/// As group_product_kernel; `offsets` [groups + 1] on the device.
void multiply_groups_by_tiles(const MatrixProduct& product, const int32_t* offsets, int64_t groups,
                              cudaStream_t stream);

}  // namespace lathe
