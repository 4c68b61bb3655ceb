#pragma once

#include <span>

#include "lathe/tensor/kernel.h"

namespace lathe {

/// Elements whose squares are added first on a GPU.
constexpr int64_t kSquaresChunk = 1 << 14;

/// out [1] = sum of the squares of all elements of `gradients`, f32. partials f32: one a chunk of kSquaresChunk
/// elements of each gradient.
constinit inline Kernel<void(std::span<const Tensor> gradients, Tensor& partials, Tensor& out)> gradient_squares_kernel{
    "gradient_squares"};

/// out [1] = sum of the squares of all elements of `gradients`, f32 all: of one gradient after the other on a CPU, of
/// all in few launches on a GPU. Equal bits every time. Finite exactly when every element is (and the sum fits).
void gradient_squares(std::span<const Tensor> gradients, Tensor& out);

}  // namespace lathe
