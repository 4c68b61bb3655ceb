#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// How one row is made of all rows of a sequence: their mean; their sum over the root of their number; their mean
/// weighted by 1, 2, 3 ...; the first; the last; each column's maximum.
enum class Pooling : uint8_t { mean, mean_sqrt_length, weighted_mean, first, last, max };

/// out[n] = rows [offsets[n], offsets[n + 1]) of x pooled; x floating, offsets i32, out f32.
constinit inline Kernel<void(const Tensor& x, const Tensor& offsets, Pooling pooling, Tensor& out)>
    pool_sequences_kernel{"pool_sequences"};
/// dx of the same, whole. Of several maxima, the first gets the gradient.
constinit inline Kernel<void(const Tensor& x, const Tensor& offsets, Pooling pooling, const Tensor& dy, Tensor& dx)>
    pool_sequences_backward_kernel{"pool_sequences_backward"};

/// One row for each packed sequence (sentence embeddings, Reimers and Gurevych 2019).
///   x floating [tokens, columns], offsets i32 [sequences + 1] -> f32 [sequences, columns]; zeros for an empty one
/// Throws Error when the shapes do not fit. Offsets are not checked. Differentiable in x; keeps it.
Tensor pool_sequences(const Tensor& x, const Tensor& offsets, Pooling pooling);

}  // namespace lathe
