#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// RMS norms of the heads of queries, and of keys, each kind by one weight for all of its heads.
struct HeadNorms {
  Tensor q_weight, k_weight;  ///< f32 [head_dim]
  int64_t heads = 0, kv_heads = 0;
  float eps = 0;
  float weight_offset = 0;  ///< weights count as weight + weight_offset
};

/// y = x with its first heads + kv_heads heads of each token normalized; x and y floating [tokens, heads + 2 kv_heads,
/// head_dim]; rstd f32 [tokens, heads + kv_heads] is written unless empty. y may be x.
constinit inline Kernel<void(const Tensor& x, const HeadNorms& norms, Tensor& y, Tensor& rstd)> head_norm_kernel{
    "head_norm"};
/// dx, and sums over chunks of tokens (column_sums.h): those of the weight of queries, then of keys; dx may be dy.
constinit inline Kernel<void(const Tensor& x, const HeadNorms& norms, const Tensor& rstd, const Tensor& dy, Tensor& dx,
                             Tensor& partials)>
    head_norm_backward_kernel{"head_norm_backward"};

/// Root mean square norm of each head of queries and keys (Henry et al. 2020), before positions turn them.
///   qkv [tokens, heads + 2 kv_heads, head_dim] floating -> the same; heads of values stay as they are
/// Throws Error when shapes do not fit. Differentiable in qkv and both weights. Keeps qkv and a number a head.
/// Overwrites qkv and returns it where no tape records and it is unique(): use only what is returned.
Tensor head_norm(const Tensor& qkv, const HeadNorms& norms);

}  // namespace lathe
