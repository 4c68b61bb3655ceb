#pragma once

#include <cstdint>
#include <span>

#include "lathe/ops/rotary.h"
#include "lathe/tensor/tensor.h"

namespace lathe {

/// What a model says about its attention. Values only; who attends to what comes with each call.
struct AttentionSpec {
  int64_t heads = 0;     ///< of queries
  int64_t kv_heads = 0;  ///< of keys and of values; divides `heads` (grouped queries, Ainslie et al. 2023)
  int64_t head_dim = 0;
  float scale = 0;     ///< of the scores, usually 1 / sqrt(head_dim)
  bool causal = true;  ///< a query sees positions up to its own
  int64_t window = 0;  ///< > 0: a query sees that many last positions, itself included; as many after it if not causal
  float softcap = 0;   ///< > 0: scores = softcap * tanh(scores / softcap), before the bias
  RotarySpec rotary;   ///< for the caller: the functions below take rotated tensors
  Tensor bias;         ///< empty, or f32 [heads, distances], added at (key position - query position) + bias_zero;
                       ///< distances outside are taken as the nearest inside. Differentiable (T5, ALiBi)
  int64_t bias_zero = 0;  ///< column of distance 0
};

/// The sequences packed into one row of tokens: sequence n is [offsets[n], offsets[n + 1]) of them.
struct Packed {
  Tensor offsets;       ///< i32 [sequences + 1], rising from 0 to the number of tokens; read by kernels alone
  int64_t longest = 0;  ///< no sequence is longer; bounds workspaces. 0: the number of tokens
  /// The same offsets on the host, for exact FLOP counts. Empty: counted as tokens / longest sequences of `longest`.
  std::span<const int32_t> host;
};

/// Softmax attention within each packed sequence (Vaswani et al. 2017); tiles after Dao 2022.
///   qkv [tokens, heads + 2 kv_heads, head_dim] f32 or bf16, rotated -> [tokens, heads * head_dim]
/// Throws Error when shapes or spec do not fit; InternalError when a sequence is longer than `longest`.
/// Differentiable in qkv and spec.bias. Keeps qkv, the output and a float a query and head; backward recomputes scores.
/// The bits do not depend on the number of threads.
Tensor attention(const Tensor& qkv, const Packed& sequences, const AttentionSpec& spec);
Tensor attention(const Tensor& qkv, const Tensor& sequence_offsets, int64_t longest, const AttentionSpec& spec);

/// The same with queries of one set of sequences and keys and values of another (encoder memory).
///   q [tokens, heads, head_dim], kv [memory_tokens, 2 kv_heads, head_dim] -> [tokens, heads * head_dim]
/// Causal and windowed attention align the ends: the last query has the last memory token's position. A query that sees
/// nothing gets zeros. Differentiable in q, kv and spec.bias.
Tensor attention(const Tensor& q, const Tensor& kv, const Packed& queries, const Packed& memory,
                 const AttentionSpec& spec);
Tensor attention(const Tensor& q, const Tensor& kv, const Tensor& query_offsets, const Tensor& memory_offsets,
                 const AttentionSpec& spec);

/// Where the keys and values of each sequence lie in a cache; new tokens are already written.
struct CachedSequences {
  Tensor starts;        ///< i32 [sequences]: first slot
  Tensor lengths;       ///< i32 [sequences]: slots in use, one after another
  int64_t longest = 0;  ///< no sequence is longer; bounds the workspace. 0: the number of slots
};

/// Attention of new tokens to a key-value cache.
///   q [tokens, heads, head_dim], cache [slots, 2 kv_heads, head_dim], query_offsets i32 [sequences + 1]
///   -> [tokens, heads * head_dim]
/// Query i of a sequence with n of them has position length - n + i. Not differentiable. Each key and value is read
/// once for up to 8 queries of a sequence. The bits do not depend on the number of threads. On a GPU the i32 tensors
/// were written before this step began: they are read before earlier kernels end.
Tensor attention_cached(const Tensor& q, const Tensor& cache, const Tensor& query_offsets,
                        const CachedSequences& sequences, const AttentionSpec& spec);
Tensor attention_cached(const Tensor& q, const Tensor& cache, const Tensor& query_offsets, const Tensor& cache_starts,
                        const Tensor& cache_lengths, const AttentionSpec& spec);

}  // namespace lathe
