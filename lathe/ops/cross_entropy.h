#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// What may be added to the negative log-likelihood, and over how many columns it is taken.
struct CrossEntropyOptions {
  float label_smoothing = 0;  ///< share of the target spread evenly over the vocabulary (Szegedy et al. 2016)
  float z_loss = 0;           ///< times the squared log of the softmax denominator (Chowdhery et al. 2022)
  int64_t vocabulary = 0;     ///< real columns of logits, the first ones; 0: all. Those beyond count as -infinity.
};

/// Loss of each row of logits, and its gradient.
///   logits f32, bf16 or f16 [rows, columns], targets i32 [rows], weights f32 [1] or [rows] on the device
///   losses f32 [rows]: the loss, unweighted; 0 where the target is -1
/// When `differentiate`, logits are overwritten with weight * dloss/dlogits, 0 in rows whose target is -1 and in
/// columns that are not real; else they stay. Columns that are not real are never read. `options.vocabulary` is not 0.
/// Accumulates in f32.
constinit inline Kernel<void(const Tensor& targets, const Tensor& weights, CrossEntropyOptions options,
                             bool differentiate, Tensor& logits, Tensor& losses)>
    cross_entropy_kernel{"cross_entropy"};

/// Runs the kernel after checking shapes. Throws Error when they do not fit. Not recorded: for callers that walk the
/// vocabulary projection in row chunks.
void cross_entropy(const Tensor& targets, const Tensor& weights, const CrossEntropyOptions& options, bool differentiate,
                   Tensor& logits, Tensor& losses);

/// log softmax(logits)[target] of each row, 0 where the target is -1.
///   logits floating [rows, columns], the first `vocabulary` of them real (0: all), targets i32 [rows] -> f32 [rows]
/// Differentiable in logits, whose bytes the gradient takes over when nobody else holds them.
Tensor token_log_probs_of(const Tensor& logits, const Tensor& targets, int64_t vocabulary = 0);

}  // namespace lathe
