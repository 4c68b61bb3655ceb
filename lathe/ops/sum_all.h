#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// sums[row] = sum of x's row; x floating [rows, columns], sums f32 [rows].
constinit inline Kernel<void(const Tensor& x, Tensor& sums)> row_sums_kernel{"row_sums"};
/// sums[row] = sum of the squares of x's row; as row_sums.
constinit inline Kernel<void(const Tensor& x, Tensor& sums)> row_sums_of_squares_kernel{"row_sums_of_squares"};
/// out [1] = (add ? out : 0) + sum of `sums`, in a fixed order and in f64; all f32.
constinit inline Kernel<void(const Tensor& sums, bool add, Tensor& out)> total_kernel{"total"};
/// out = value[0] everywhere; value f32 [1], out floating.
constinit inline Kernel<void(const Tensor& value, Tensor& out)> broadcast_kernel{"broadcast"};

/// Sum of all elements, f32 [1]. Differentiable. The same bits for any number of threads.
Tensor sum_all(const Tensor& x);

/// out [1] f32 = (add ? out : 0) + sum of the squares of x's elements: sums of row sums, the same bits for any number
/// of threads. Not differentiable. The result is finite exactly when every element is (and their squares fit an f32),
/// so it also finds overflowed gradients.
void sum_of_squares(const Tensor& x, bool add, Tensor& out);

}  // namespace lathe
