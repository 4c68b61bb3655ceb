#pragma once

#include "lathe/nn/stored.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// rows = deviation * normal numbers; rows f32 [slice.rows, slice.columns]. An element's number in `random` is its
/// place in the whole named tensor, so that every way to cut a tensor draws the same values.
constinit inline Kernel<void(const Random& random, float deviation, const Slice& slice, Tensor& rows)> normal_kernel{
    "initialize_normal"};

}  // namespace lathe
