#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// q = qkv's first `heads` heads of each token; cache[slots[token]] = the heads behind them.
constinit inline Kernel<void(const Tensor& qkv, const Tensor& slots, int64_t heads, Tensor& q, Tensor& cache)>
    cache_write_kernel{"cache_write"};

/// Puts the keys and values of new tokens into a cache and returns their queries.
///   qkv [tokens, heads + 2 kv_heads, head_dim], slots i32 [tokens], cache [slots, 2 kv_heads, head_dim] of one type
///   -> [tokens, heads, head_dim]
/// Throws Error when shapes do not fit. Slots are not checked. Not differentiable.
Tensor cache_write(const Tensor& qkv, const Tensor& slots, int64_t heads, Tensor& cache);

/// Throws what cache_write() throws.
void check_cache_write(const Tensor& qkv, const Tensor& slots, int64_t heads, const Tensor& cache);

}  // namespace lathe
