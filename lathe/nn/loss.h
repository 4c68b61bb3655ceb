#pragma once

#include "lathe/nn/pass.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// loss [1] = scale [1] * sum of losses [rows], in an order that depends on `rows` alone and in f64; all f32.
constinit inline Kernel<void(const Tensor& losses, const Tensor& scale, Tensor& loss)> total_loss_kernel{"total_loss"};

/// Cross-entropy of `head(hidden)` without ever holding all logits: chunks of `rows_per_chunk` rows are projected,
/// scored and, when a tape records, differentiated at once (Liger Kernel's fused linear cross-entropy).
///   hidden [rows, hidden_size], targets i32 [rows] (-1: none), scale f32 [1] -> loss f32 [1] = scale * sum of -log p
/// The first `vocabulary` columns of logits are real (0: all).
/// Gradients are those of the result seeded with 1: it must be what backward starts from. Those of the head's weights
/// are written during forward. Memory: one chunk's logits, and a gradient as large as `hidden`.
Tensor chunked_cross_entropy(const Tensor& hidden, const Project& head, const Tensor& targets, const Tensor& scale,
                             int64_t rows_per_chunk, int64_t vocabulary = 0);

/// log p(target) of each row, f32 [rows], in the same chunks; not differentiable. 0 where there is no target.
Tensor token_log_probs(const Tensor& hidden, const Project& head, const Tensor& targets, int64_t rows_per_chunk,
                       int64_t vocabulary = 0);

}  // namespace lathe
