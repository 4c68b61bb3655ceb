#pragma once

#include <functional>

#include "lathe/models/parts.h"

namespace lathe {

/// What a decoder's layer is made of.
struct LayerParts {
  int layer = 0;
  std::unique_ptr<Norm> attention_norm;
  std::unique_ptr<Part> attention;
  std::unique_ptr<Norm> mlp_norm;
  std::unique_ptr<Part> mlp;
  float dropout = 0;  ///< of what each part adds
};

/// h = hidden + attention(norm(hidden)), then h + mlp(norm(h)).
class SequentialLayer : public Block {
 public:
  explicit SequentialLayer(LayerParts parts) : parts_(std::move(parts)) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override;
  void list(Inventory& inventory) override;

 private:
  LayerParts parts_;
};

/// hidden + attention(norm(hidden)) + mlp(norm(hidden)) (Wang & Komatsuzaki 2021). Without `mlp_norm`, both parts read
/// what the first norm gives.
class ParallelLayer : public Block {
 public:
  explicit ParallelLayer(LayerParts parts) : parts_(std::move(parts)) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override;
  void list(Inventory& inventory) override;

 private:
  LayerParts parts_;
};

/// Vectors of tokens, times `scale`, then dropout.
class TokenEmbedding : public Block {
 public:
  explicit TokenEmbedding(TokenTable& table, float scale = 1, float dropout = 0)
      : table_(table), scale_(scale), dropout_(dropout) {}
  Tensor forward(const Tensor&, Pass& pass) override;
  void list(Inventory& inventory) override { table_.list(inventory); }

 private:
  TokenTable& table_;
  float scale_, dropout_;
};

struct HeadOptions {
  std::unique_ptr<Norm> norm;
  std::string name = "lm_head";  ///< of a head that is not tied
  bool bias = false;             ///< of such a head
  float softcap = 0;             ///< > 0: logits = softcap * tanh(logits / softcap)
};

/// Logits by the table of tokens, or where `c` ties nothing by a matrix of its own.
class LanguageHead : public Block {
 public:
  LanguageHead(const ModelConfig& c, TokenTable& table, HeadOptions options, Mesh& mesh);
  Tensor forward(const Tensor& hidden, Pass& pass) override;
  void list(Inventory& inventory) override;

 private:
  TokenTable& table_;
  std::unique_ptr<Norm> norm_;
  std::unique_ptr<Linear> own_;  ///< null: tied
  float softcap_;

  Tensor by_table(const LinearInput& input) const;
};

/// Labels of a whole text, by its last token (one alone: a reward). Its norm comes first; no bias.
class LabelHead : public Block {
 public:
  LabelHead(const ModelConfig& c, std::unique_ptr<Norm> norm);
  Tensor forward(const Tensor& hidden, Pass& pass) override;
  void list(Inventory& inventory) override;

 private:
  std::unique_ptr<Norm> norm_;
  Linear score_;
};

/// The head of a decoder for the task of `c`: a LanguageHead or a LabelHead. Throws Error for tasks that decoders have
/// no head for.
std::unique_ptr<Block> make_decoder_head(const ModelConfig& c, TokenTable& table, HeadOptions options, Mesh& mesh);

/// Between an embedding and a head that share `table`, layers by their numbers.
std::unique_ptr<Model> make_decoder(const ModelConfig& c, std::unique_ptr<TokenTable> table,
                                    std::unique_ptr<Block> embedding,
                                    const std::function<std::unique_ptr<Block>(int layer)>& layer,
                                    std::unique_ptr<Block> head);

}  // namespace lathe
