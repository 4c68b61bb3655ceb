#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// bias[i][d] = factor * slope of head (first_head + i) of all_heads * (d - last column).
constinit inline Kernel<void(int64_t all_heads, int64_t first_head, float factor, Tensor& bias)> alibi_kernel{"alibi"};

/// Attention biases that grow with distance, in place of positions (Press et al. 2022), as AttentionSpec::bias: f32
/// [heads, distances], whose last column is distance 0, for heads [first_head, first_head + heads) of all_heads.
Tensor alibi(int64_t all_heads, int64_t first_head, int64_t heads, int64_t distances, float factor);

/// Of head `head`: 2^(-8 (head + 1) / heads) where heads are a power of two; else heads beyond the largest power of two
/// below take every other slope of twice as many.
double alibi_slope(int64_t head, int64_t heads);

}  // namespace lathe
