#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// ids[row] = the column of the highest of the row's first `columns` logits, the first of equals; -1 where one of them
/// is no number below infinity.
constinit inline Kernel<void(const Tensor& logits, int64_t columns, Tensor& ids)> likeliest_kernel{"likeliest"};

/// The token that greedy decoding takes: logits [rows, at least `columns`] floating -> ids i32 [rows]. Not
/// differentiable. Throws Error when the shapes or types do not fit.
void likeliest(const Tensor& logits, int64_t columns, Tensor& ids);

}  // namespace lathe
