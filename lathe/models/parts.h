#pragma once

#include "lathe/comm/communicator.h"
#include "lathe/models/config.h"
#include "lathe/models/norm.h"
#include "lathe/nn/linear.h"
#include "lathe/ops/activation.h"

namespace lathe {

/// Rows that a table of `vocab_size` tokens really has: on a GPU a multiple of 64, without which each row of logits
/// would begin where its products are slow. The rows beyond stay zero and are in no file.
int64_t padded_vocabulary(int64_t vocab_size);

/// A table of token vectors [padded_vocabulary(vocab_size), hidden_size]; also the head where embeddings are tied
/// (Press & Wolf 2017).
class TokenTable : public Module {
 public:
  TokenTable(const std::string& name, int64_t vocab_size, int64_t hidden_size, Init init);
  void list(Inventory& inventory) override { inventory.add(weight); }
  std::unique_ptr<Weight> weight;
};

/// The sections of a head of its own that gives a logit for each token, and for each padded row.
std::vector<Section> head_sections(const std::string& name, int64_t vocab_size);

/// The options of a projection whose new weights are normal, with deviation initializer_range.
LinearOptions projection(const ModelConfig& c, int64_t in, std::vector<Section> sections, bool bias, Split split,
                         Mesh& mesh);

/// Queries, keys and values as tensors of these names; equal names: one tensor with the three below each other.
std::vector<Section> query_key_value(const ModelConfig& c, const std::string& q, const std::string& k,
                                     const std::string& v);
/// One tensor that holds, for each head of keys, its queries, then it, then its head of values (GPT-NeoX, Falcon).
std::vector<Section> interleaved_query_key_value(const ModelConfig& c, const std::string& name);

/// The row of such a tensor in a file that holds all queries, then all keys, then all values.
int64_t row_of_interleaved_heads(const ModelConfig& c, int64_t row);

/// This rank's heads, scaled by 1 / sqrt(head_dim), with the window of `layer`.
AttentionSpec attention_spec(const ModelConfig& c, int layer, Mesh& mesh);

/// What a layer adds to the residual stream: attention, an MLP.
class Part : public Module {
 public:
  /// [tokens, hidden_size] -> [tokens, hidden_size], plus `residual` where given. Lets go of x as soon as it can.
  virtual Tensor operator()(LinearInput x, Pass& pass, const Tensor* residual) const = 0;
};

/// hidden + dropout(part(x)); one product less where there is no dropout.
Tensor add_to_residual(const Part& part, LinearInput x, const Tensor& hidden, float dropout, Pass& pass, int layer,
                       int use);

/// Biases by distance for this rank's heads: see alibi().
struct Alibi {
  int64_t all_heads = 0, first_head = 0;
  int64_t distances = 0;  ///< up to the longest text; 0: none
  float factor = 1;
};
Alibi alibi_of(const ModelConfig& c, Mesh& mesh, float factor);

/// Weights of norms of heads, `name`.q_norm.weight and `name`.k_norm.weight: see head_norm().
class HeadNormWeights : public Module {
 public:
  HeadNormWeights(const ModelConfig& c, const std::string& name, float weight_offset, Mesh& mesh);
  /// qkv of this rank's heads.
  Tensor operator()(const Tensor& qkv, const AttentionSpec& spec) const;
  void list(Inventory& inventory) override;

 private:
  Parameter q_, k_;
  float eps_, weight_offset_;
};

struct AttentionOptions {
  int layer = 0;
  AttentionSpec spec;
  LinearOptions qkv, o;
  std::unique_ptr<HeadNormWeights> head_norms;  ///< null: none
  Alibi alibi;
};

/// One product for queries, keys and values, attention, and one product back.
class SelfAttention : public Part {
 public:
  explicit SelfAttention(AttentionOptions options);
  Tensor operator()(LinearInput x, Pass& pass, const Tensor* residual) const override;
  void list(Inventory& inventory) override;

 private:
  int layer_;
  AttentionSpec spec_;
  Linear qkv_, o_;
  std::unique_ptr<HeadNormWeights> head_norms_;
  Alibi alibi_;

  Tensor attended(const Tensor& qkv, Pass& pass) const;
};

/// down(activation(up(x))).
class PlainMlp : public Part {
 public:
  PlainMlp(const std::string& activation, const LinearOptions& up, const LinearOptions& down);
  Tensor operator()(LinearInput x, Pass& pass, const Tensor* residual) const override;
  void list(Inventory& inventory) override;

 private:
  Activation activation_;
  Linear up_, down_;
};

/// down(activation(gate(x)) * up(x)) (Shazeer 2020), with gate and up one product.
class GatedMlp : public Part {
 public:
  GatedMlp(const std::string& activation, const LinearOptions& gate_up, const LinearOptions& down);
  Tensor operator()(LinearInput x, Pass& pass, const Tensor* residual) const override;
  void list(Inventory& inventory) override;

 private:
  Activation activation_;
  Linear gate_up_, down_;
};

}  // namespace lathe
