#pragma once

#include "lathe/ops/attention.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// Tokens that all of their sequence sees, whatever its window: the first few of each sequence.
struct GlobalTokens {
  Tensor rows;       ///< i32 [globals], rising: which of all tokens they are
  Tensor places;     ///< i32 [tokens]: of a global token its place in `rows`, of others -1
  Packed sequences;  ///< how many of them each sequence has
  Packed pieces;     ///< each sequence as two: its global tokens, then its others
};

/// Attention with windows and global tokens within each packed sequence (Beltagy et al. 2020).
///   qkv [tokens, heads + 2 kv_heads, head_dim], wide [globals, heads * head_dim] -> [tokens, heads * head_dim]
/// A token sees its window and its sequence's global tokens, each key once. The rows of global tokens are those of
/// `wide`: they see their whole sequence by queries, keys and values of their own, which is the caller's business.
/// Throws Error when shapes do not fit, and for a spec that is causal or has a bias.
/// Differentiable in qkv and wide; keeps what attention() keeps.
Tensor attention_with_globals(const Tensor& qkv, const Tensor& wide, const Packed& sequences,
                              const GlobalTokens& globals, const AttentionSpec& spec);

/// out and logsumexp (f32 [heads, tokens]), attention to some keys, become attention to those and to others that
/// `other_out` and `other_logsumexp` are of (Dao 2022). Where places[token] >= 0, out becomes that row of `wide` and
/// logsumexp +inf: weights recomputed from it are zero, and so is what such a query adds to gradients.
constinit inline Kernel<void(const Tensor& other_out, const Tensor& other_logsumexp, const Tensor& wide,
                             const Tensor& places, Tensor& out, Tensor& logsumexp)>
    join_attention_kernel{"join_attention"};

}  // namespace lathe
