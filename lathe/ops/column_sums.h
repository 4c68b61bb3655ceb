#pragma once

#include "lathe/ops/gradient_target.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// partials[chunk, column] = sum of x's column over the chunk's rows; x floating [rows, columns], partials f32
/// [row_chunks(device, rows), columns].
constinit inline Kernel<void(const Tensor& x, Tensor& partials)> column_partials_kernel{"column_partials"};
/// out = (add ? out : 0) + partials[:, first : first + out's columns] summed over chunks, in a fixed order; all f32.
constinit inline Kernel<void(const Tensor& partials, int64_t first, bool add, Tensor& out)> sum_partials_kernel{
    "sum_partials"};

/// Chunks of rows that a kernel on `device` sums by itself, before sum_partials() adds them up: as many as the device
/// needs to be busy. The same for any number of threads.
int64_t row_chunks(Device device, int64_t rows);
/// Workspace for one pass over `rows` rows on the current Runtime: f32 [row_chunks(device, rows), columns].
Tensor column_partials(int64_t rows, int64_t columns);
/// Adds up columns [first, first + target's) of `partials` into `target`.
void sum_partials(const Tensor& partials, int64_t first, const GradientTarget& target);

/// The gradient of a bias that was added to every row: sums of dy's columns, written in place where `bias` offers it.
///   dy floating [rows, columns], bias [columns] -> f32 [columns], or empty when written in place
/// The same bits for any number of threads.
Tensor bias_gradient(const Tensor& dy, const Tensor& bias);

}  // namespace lathe
