#pragma once

#include "lathe/ops/rotary.h"

namespace lathe {

/// rotary_kernel and cache_write_kernel as one; on a GPU.
constinit inline Kernel<void(const Tensor& qkv, const Tensor& positions, const RotarySpec& spec, const Tensor& slots,
                             Tensor& q, Tensor& cache)>
    rotary_cache_kernel{"rotary_cache"};

/// Rotates the queries and keys of new tokens, puts keys and values into a cache and returns the queries:
///   qkv [tokens, heads + 2 kv_heads, head_dim] f32 or bf16, positions and slots i32 [tokens],
///   cache [slots, 2 kv_heads, head_dim] -> [tokens, heads, head_dim]
/// The same as cache_write() of rotary(); throws as they do. May overwrite qkv. Not differentiable.
Tensor rotary_cache(const Tensor& qkv, const Tensor& positions, const RotarySpec& spec, const Tensor& slots,
                    int64_t heads, Tensor& cache);

}  // namespace lathe
