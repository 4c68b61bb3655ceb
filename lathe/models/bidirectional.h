#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "lathe/models/config.h"
#include "lathe/models/gguf_form.h"
#include "lathe/models/heads.h"
#include "lathe/models/norm.h"
#include "lathe/models/parts.h"

namespace lathe {

/// What a family calls the tensors before the first layer of an encoder; an empty name: there is no such table.
struct EmbeddingNames {
  std::string positions, types, norm;
};

/// What a family calls the tensors of an encoder's layer.
struct EncoderLayerNames {
  std::string q, k, v, o, attention_norm, up, down, output_norm;
};
/// Those of layer `layer` as BERT has them, below `model`: "bert".
EncoderLayerNames bert_layer_names(const std::string& model, int layer);

/// Token, position and segment vectors, added and normalized (Devlin et al. 2019). Positions count from
/// `first_position`, the first row of their table that is used. Where the config says so, vectors of tokens are scaled.
class EncoderEmbedding : public Block {
 public:
  EncoderEmbedding(const ModelConfig& config, const EmbeddingNames& names, TokenTable& table,
                   int64_t first_position = 0);
  Tensor forward(const Tensor&, Pass& pass) override;
  void list(Inventory& inventory) override;

 private:
  TokenTable& table_;
  float dropout_, scale_;
  int64_t first_position_;
  Parameter positions_;
  std::optional<Parameter> types_;
  LayerNorm norm_;
};

/// norm(hidden + attention(hidden)) within a text: to all of it, or (causal) to what comes before; or by a family's own
/// attention.
class NormedAttention : public Module {
 public:
  NormedAttention(const ModelConfig& config, const EncoderLayerNames& names, int layer, bool causal, Mesh& mesh);
  NormedAttention(const ModelConfig& config, const EncoderLayerNames& names, int layer,
                  std::unique_ptr<Part> attention);
  Tensor operator()(const Tensor& hidden, Pass& pass) const;
  void list(Inventory& inventory) override;

 private:
  int layer_;
  float dropout_;
  std::unique_ptr<Part> attention_;
  LayerNorm norm_;
};

/// norm(hidden + mlp(hidden)).
class NormedMlp : public Module {
 public:
  NormedMlp(const ModelConfig& config, const EncoderLayerNames& names, int layer, Mesh& mesh);
  Tensor operator()(const Tensor& hidden, Pass& pass) const;
  void list(Inventory& inventory) override;

 private:
  int layer_;
  float dropout_;
  PlainMlp mlp_;
  LayerNorm norm_;
};

/// Attention to the whole text, or a family's own, then the MLP.
class EncoderLayer : public Block {
 public:
  EncoderLayer(const ModelConfig& config, const EncoderLayerNames& names, int layer, Mesh& mesh)
      : attention_(config, names, layer, false, mesh), mlp_(config, names, layer, mesh) {}
  EncoderLayer(const ModelConfig& config, const EncoderLayerNames& names, int layer, std::unique_ptr<Part> attention,
               Mesh& mesh)
      : attention_(config, names, layer, std::move(attention)), mlp_(config, names, layer, mesh) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override { return mlp_(attention_(hidden, pass), pass); }
  void list(Inventory& inventory) override;

 private:
  NormedAttention attention_;
  NormedMlp mlp_;
};

/// What a family of such encoders calls its tensors.
struct EncoderNames {
  std::string tokens;  ///< the table of token vectors
  EmbeddingNames embedding;
  EncoderLayerNames (*layer)(int number);
  HeadNames head;
  /// A layer's attention; null: to the whole text.
  std::unique_ptr<Part> (*attention)(const ModelConfig& config, int number, Mesh& mesh) = nullptr;
};

/// An encoder of whole texts with the head for the task of `config`. Positions count from `first_position`.
std::unique_ptr<Model> make_bidirectional(const ModelConfig& config, const EncoderNames& names, Mesh& mesh,
                                          int64_t first_position = 0);

/// Fills in what BERT and its descendants leave out, and refuses what contradicts itself.
void complete_bidirectional(ModelConfig& config);
/// The fields of config.json that BERT, RoBERTa and Longformer share.
void read_bidirectional(const nlohmann::json& json, ModelConfig& config);
void write_bidirectional(const ModelConfig& config, nlohmann::json& json);
/// Their form in GGUF files, llama.cpp's architecture "bert", which holds encoders alone. Reading names `architecture`,
/// the class without a head; the names are those of layers called as BERT's, below `model`: "bert".
void read_bidirectional_gguf(const GgufFile& file, const std::string& architecture, ModelConfig& config);
void write_bidirectional_gguf(const ModelConfig& config, int64_t token_types, GgufMetadata& metadata);
std::vector<GgufName> bert_gguf_names(const std::string& model);
/// id2label and label2id, of every family with classifiers.
void write_labels(const ModelConfig& config, nlohmann::json& json);

}  // namespace lathe
