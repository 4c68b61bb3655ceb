#pragma once

#include <algorithm>

#include "lathe/ops/attention.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// What attention kernels read. Fused attention has q and kv the same tensor.
struct AttentionInput {
  Tensor q, kv;                           ///< [tokens, heads (+ 2 kv_heads), head_dim], [memory_tokens, ..., head_dim]
  Tensor query_offsets;                   ///< i32 [sequences + 1]
  Tensor memory_offsets;                  ///< i32 [sequences + 1], or [sequences] starts beside memory_lengths
  Tensor memory_lengths;                  ///< i32 [sequences], or empty
  int64_t longest_queries, longest_keys;  ///< bounds of one sequence
  AttentionSpec spec;

  bool fused() const { return q.shape()[1] != spec.heads; }
  int64_t sequences() const { return query_offsets.shape()[0] - 1; }
};

/// Elements from one token to the next, and to the first key: the same in q, kv and their gradients.
struct AttentionRows {
  explicit AttentionRows(const AttentionInput& in)
      : queries(in.q.shape()[1] * in.spec.head_dim),
        keys(in.kv.shape()[1] * in.spec.head_dim),
        first_key(in.fused() ? in.spec.heads * in.spec.head_dim : 0),
        first_value(first_key + in.spec.kv_heads * in.spec.head_dim) {}
  int64_t queries, keys, first_key, first_value;
};

/// The tokens of one sequence: queries [query, query + queries), keys [key, key + keys).
struct SequenceSpan {
  int64_t query, queries, key, keys;
  /// What is added to a query's number to give its position among the keys.
  int64_t shift() const { return keys - queries; }
};
SequenceSpan sequence_span(const AttentionInput& in, int64_t sequence);
/// Throws InternalError when offsets do not rise, leave the tensors, or hold a sequence longer than stated.
void check_offsets(const AttentionInput& in);

/// The keys [first, last) that a query at `position` sees, of `keys`.
struct Visible {
  int64_t first, last;
};
inline Visible visible_keys(const AttentionSpec& spec, int64_t position, int64_t keys) {
  int64_t last = spec.causal ? position + 1 : spec.window > 0 ? position + spec.window : keys;
  int64_t first = spec.window > 0 ? position - spec.window + 1 : 0;
  return {std::max<int64_t>(first, 0), std::min(last, keys)};
}

/// Extents of the tiles that a thread works on.
constexpr int64_t kQueryTile = 64, kKeyTile = 64;
constexpr int64_t kCachedQueries = 8;  ///< sequences with more new tokens go through tiles
inline int64_t padded(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

/// Whether attention_cached_kernel does this sequence, and no other kernel.
inline bool reads_cache_once(const AttentionInput& in, const SequenceSpan& span) {
  return in.memory_lengths && span.queries <= kCachedQueries;
}

/// Floats of workspace a thread needs.
int64_t forward_floats(const AttentionSpec& spec);
int64_t backward_floats(const AttentionSpec& spec, int64_t longest_keys);
int64_t cached_floats(const AttentionSpec& spec);

/// out and logsumexp (f32 [heads, tokens], natural logarithm, -inf where nothing is seen; may be empty).
/// workspace: f32 [threads, forward_floats]; for CUDA, here and below, see attention_workspace.h.
constinit inline Kernel<void(const AttentionInput& in, Tensor& out, Tensor& logsumexp, Tensor& workspace)>
    attention_kernel{"attention"};

/// dq and dkv (the same tensor when fused) are written whole, as is dbias, unless empty.
/// workspace: f32 [threads, backward_floats]; bias_parts: f32 [sequences, heads, distances], empty without dbias.
constinit inline Kernel<void(const AttentionInput& in, const Tensor& out, const Tensor& logsumexp, const Tensor& dout,
                             Tensor& dq, Tensor& dkv, Tensor& dbias, Tensor& bias_parts, Tensor& workspace)>
    attention_backward_kernel{"attention_backward"};

/// The sequences of at most kCachedQueries queries to a cache, with the bits that attention_kernel, which does the
/// others, would give them; on CUDA all sequences where it decodes(). workspace: f32 [threads, cached_floats].
constinit inline Kernel<void(const AttentionInput& in, Tensor& out, Tensor& workspace)> attention_cached_kernel{
    "attention_cached"};

/// dbias = the sum of bias_parts over sequences, in order.
void sum_bias_parts(const Tensor& bias_parts, Tensor& dbias);

}  // namespace lathe
