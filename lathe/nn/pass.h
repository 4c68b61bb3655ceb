#pragma once

#include <functional>

#include "lathe/ops/attention.h"
#include "lathe/tensor/random.h"

namespace lathe {

/// Computes something of a tensor with the caller's weights: keys and values of encoder memory, logits of hidden rows.
using Project = std::function<Tensor(const Tensor&)>;

/// What global tokens see their text by, of the layer's hidden rows.
struct GlobalProjections {
  const Tensor& hidden;     ///< [tokens, hidden_size]
  Project queries;          ///< [rows, hidden_size] -> [rows, heads, head_dim]
  Project keys_and_values;  ///< [rows, hidden_size] -> [rows, 2 kv_heads, head_dim]
};

/// Which adapters a pass applies.
struct AdapterChoice {
  bool enabled = true;                ///< false: the frozen reference
  const Tensor* per_token = nullptr;  ///< i32 [tokens]: an adapter's index for each token, -1 none
};

/// The token that stands for its whole sequence.
enum class SequenceEnd : uint8_t { first, last };

/// What a forward pass knows besides activations. Training and inference each supply one, so a model asks `pass` and
/// knows of neither packing, caches, losses nor randomness. Immutable while a tape that recorded with it lives.
class Pass {
 public:
  virtual ~Pass() = default;
  virtual const Tensor& tokens() const = 0;     ///< i32 [tokens]
  virtual const Tensor& positions() const = 0;  ///< i32 [tokens]
  virtual const Tensor& token_types() const;    ///< i32 [tokens]: the segment of each; empty: all of segment 0

  /// qkv [tokens, heads + 2 kv_heads, head_dim], not rotated -> [tokens, heads * head_dim]. The spec says scale,
  /// window, causality, softcap, rotary and bias.
  virtual Tensor attend(int layer, const Tensor& qkv, const AttentionSpec& spec) = 0;
  /// q [tokens, heads, head_dim] against encoder memory; `keys_and_values` makes [memory, 2 kv_heads, head_dim] of it,
  /// once a sequence when decoding. Throws InternalError in a pass without memory.
  virtual Tensor attend_memory(int layer, const Tensor& q, const Project& keys_and_values, const AttentionSpec& spec);
  /// attend() in a model with global tokens (Beltagy et al. 2020), which all of their text sees besides its window, and
  /// which see all of it by projections of their own. Here: no token is global.
  virtual Tensor attend_with_globals(int layer, const Tensor& qkv, const GlobalProjections& globals,
                                     const AttentionSpec& spec);

  /// The rows that matter to what follows: all, those with a target, the last of each sequence.
  virtual Tensor rows(const Tensor& hidden) const;
  /// The end of a model: `head` maps hidden rows to logits. Here: head(rows(hidden)); training returns a loss instead,
  /// and never holds all logits.
  virtual Tensor finish(const Tensor& hidden, const Project& head);

  /// One row of `hidden` a sequence. Throws InternalError in a pass that does not know.
  virtual Tensor ends(const Tensor& hidden, SequenceEnd end) const;
  /// The end of a model that says something of whole sequences: `head` maps their rows to logits. Here: head(rows).
  virtual Tensor finish_sequences(const Tensor& rows, const Project& head);

  /// Dropout in training, x elsewhere. `use` tells apart several in a layer.
  virtual Tensor drop(const Tensor& x, float probability, int layer, int use) const;
  virtual bool drops() const { return false; }  ///< whether drop() is more than x
  virtual const AdapterChoice& adapters() const;
};

}  // namespace lathe
