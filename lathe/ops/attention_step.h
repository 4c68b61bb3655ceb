#pragma once

#include "lathe/ops/attention_kernels.h"

namespace lathe {

/// A step that decodes: rotates the one new token of each sequence, puts it into the cache, which is in.kv, and attends
/// to it; on a GPU. Of in.q the shape counts alone. workspace: as of attention_cached_kernel.
constinit inline Kernel<void(const AttentionInput& in, const Tensor& qkv, const Tensor& positions, Tensor& cache,
                             Tensor& out, Tensor& workspace)>
    attention_step_kernel{"attention_step"};

/// New tokens of the sequences of a cache, one after another.
struct NewTokenPlaces {
  const Tensor& positions;  ///< i32 [tokens]
  const Tensor& slots;      ///< i32 [tokens]: the last ones in use of their sequence
  const Tensor& offsets;    ///< i32 [sequences + 1]; each has a new token at least
};

/// What a layer does of new tokens to a cache: rotates queries and keys as spec.rotary says (unless it has no dims),
/// puts keys and values into the cache, and attends.
///   qkv [tokens, heads + 2 kv_heads, head_dim] f32 or bf16, not rotated, cache [slots, 2 kv_heads, head_dim]
///   -> [tokens, heads * head_dim]
/// The same as attention_cached() of rotary_cache() or cache_write(); throws as they do. On a GPU the i32 tensors
/// were written before this step began: they, and what the cache holds, are read before earlier kernels end. May
/// overwrite qkv. Not differentiable.
Tensor attention_step(const Tensor& qkv, const NewTokenPlaces& fresh, Tensor& cache, const CachedSequences& sequences,
                      const AttentionSpec& spec);

}  // namespace lathe
