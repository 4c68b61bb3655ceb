#include "lathe/models/bidirectional.h"

#include <cmath>

#include "lathe/models/config_json.h"
#include "lathe/models/task.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/embedding.h"
#include "lathe/tensor/sum.h"

namespace lathe {

EncoderLayerNames bert_layer_names(const std::string& model, int layer) {
  std::string name = text(model, ".encoder.layer.", layer);
  return {.q = name + ".attention.self.query",
          .k = name + ".attention.self.key",
          .v = name + ".attention.self.value",
          .o = name + ".attention.output.dense",
          .attention_norm = name + ".attention.output.LayerNorm",
          .up = name + ".intermediate.dense",
          .down = name + ".output.dense",
          .output_norm = name + ".output.LayerNorm"};
}

EncoderEmbedding::EncoderEmbedding(const ModelConfig& c, const EmbeddingNames& names, TokenTable& table,
                                   int64_t first_position)
    : table_(table),
      dropout_(float(c.embd_pdrop)),
      scale_(c.scale_embedding ? std::sqrt(float(c.hidden_size)) : 1),
      first_position_(first_position),
      positions_({first_position + c.max_position_embeddings, c.hidden_size},
                 {whole_matrix(names.positions, first_position + c.max_position_embeddings, c.hidden_size)},
                 Init::normal(float(c.initializer_range))),
      norm_(names.norm, c.hidden_size, c.norm_eps) {
  if (!names.types.empty())
    types_.emplace(Shape{c.type_vocab_size, c.hidden_size},
                   std::vector<Slice>{whole_matrix(names.types, c.type_vocab_size, c.hidden_size)},
                   Init::normal(float(c.initializer_range)));
}

Tensor EncoderEmbedding::forward(const Tensor&, Pass& pass) {
  Tensor positions = first_position_ == 0
                         ? positions_.value
                         : rows(positions_.value, first_position_, positions_.value.shape()[0] - first_position_);
  Tensor added;
  if (types_) {
    Tensor types = pass.token_types() ? pass.token_types() : zeros(pass.tokens().shape(), DType::i32);
    added = embedding_sum(pass.positions(), positions, types, types_->value);
  } else {
    added = embedding(pass.positions(), positions);
  }
  Tensor tokens = table_.weight->rows(pass.tokens());
  if (scale_ != 1) tokens = scale(tokens, scale_);
  return pass.drop(norm_(add(tokens, added)), dropout_, -1, 0);
}

void EncoderEmbedding::list(Inventory& inventory) {
  table_.list(inventory);
  inventory.add(positions_);
  if (types_) inventory.add(*types_);
  norm_.list(inventory);
}

static AttentionOptions attention_options(const ModelConfig& c, const EncoderLayerNames& names, int layer, bool causal,
                                          Mesh& mesh) {
  AttentionSpec spec = attention_spec(c, layer, mesh);
  spec.causal = causal;
  return {.layer = layer,
          .spec = spec,
          .qkv = projection(c, c.hidden_size, query_key_value(c, names.q, names.k, names.v), true, Split::out, mesh),
          .o = projection(c, c.hidden_size, {{names.o, c.hidden_size}}, true, Split::in, mesh),
          .head_norms = nullptr,
          .alibi = {}};
}

NormedAttention::NormedAttention(const ModelConfig& c, const EncoderLayerNames& names, int layer, bool causal,
                                 Mesh& mesh)
    : NormedAttention(c, names, layer,
                      std::make_unique<SelfAttention>(attention_options(c, names, layer, causal, mesh))) {}

NormedAttention::NormedAttention(const ModelConfig& c, const EncoderLayerNames& names, int layer,
                                 std::unique_ptr<Part> attention)
    : layer_(layer),
      dropout_(float(c.resid_pdrop)),
      attention_(std::move(attention)),
      norm_(names.attention_norm, c.hidden_size, c.norm_eps) {}

Tensor NormedAttention::operator()(const Tensor& hidden, Pass& pass) const {
  return norm_(add_to_residual(*attention_, hidden, hidden, dropout_, pass, layer_, 0));
}

void NormedAttention::list(Inventory& inventory) {
  attention_->list(inventory);
  norm_.list(inventory);
}

NormedMlp::NormedMlp(const ModelConfig& c, const EncoderLayerNames& names, int layer, Mesh& mesh)
    : layer_(layer),
      dropout_(float(c.resid_pdrop)),
      mlp_(c.hidden_act, projection(c, c.hidden_size, {{names.up, c.intermediate_size}}, true, Split::out, mesh),
           projection(c, c.intermediate_size, {{names.down, c.hidden_size}}, true, Split::in, mesh)),
      norm_(names.output_norm, c.hidden_size, c.norm_eps) {}

Tensor NormedMlp::operator()(const Tensor& hidden, Pass& pass) const {
  return norm_(add_to_residual(mlp_, hidden, hidden, dropout_, pass, layer_, 1));
}

void NormedMlp::list(Inventory& inventory) {
  mlp_.list(inventory);
  norm_.list(inventory);
}

void EncoderLayer::list(Inventory& inventory) {
  attention_.list(inventory);
  mlp_.list(inventory);
}

std::unique_ptr<Model> make_bidirectional(const ModelConfig& config, const EncoderNames& names, Mesh& mesh,
                                          int64_t first_position) {
  auto model = std::make_unique<Model>();
  auto table = std::make_unique<TokenTable>(names.tokens, config.vocab_size, config.hidden_size,
                                            Init::normal(float(config.initializer_range)));
  model->blocks.push_back(std::make_unique<EncoderEmbedding>(config, names.embedding, *table, first_position));
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    EncoderLayerNames own = names.layer(layer);
    model->blocks.push_back(
        names.attention ? std::make_unique<EncoderLayer>(config, own, layer, names.attention(config, layer, mesh), mesh)
                        : std::make_unique<EncoderLayer>(config, own, layer, mesh));
  }
  model->blocks.push_back(make_head(config, names.head, *table));
  if (task_of(config) != Task::masked_lm) table->weight->use_rows_alone();
  model->shared.push_back(std::move(table));
  return model;
}

void complete_bidirectional(ModelConfig& c) {
  if (c.intermediate_size == 0) c.intermediate_size = 4 * c.hidden_size;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 512;
  if (c.norm_eps == 0) c.norm_eps = 1e-12;
  if (c.hidden_act.empty()) c.hidden_act = "gelu";
  if (c.type_vocab_size == 0) c.type_vocab_size = 2;
  if (c.labels.empty()) c.labels = {"LABEL_0", "LABEL_1"};
  c.tie_word_embeddings = c.attention_bias = c.mlp_bias = true;
  require(c.num_key_value_heads == c.num_attention_heads, c.model_type, ": num_key_value_heads ", c.num_key_value_heads,
          " must equal num_attention_heads ", c.num_attention_heads);
  require(c.head_dim * c.num_attention_heads == c.hidden_size, c.model_type, ": head_dim ", c.head_dim,
          " x num_attention_heads ", c.num_attention_heads, " must be hidden_size ", c.hidden_size);
  require(c.type_vocab_size > 0 && c.type_vocab_size <= 1 << 20, c.model_type,
          ": type_vocab_size = ", c.type_vocab_size, " must be from 1 to ", 1 << 20);
}

void read_bidirectional(const nlohmann::json& json, ModelConfig& c) {
  std::string positions = field_or(json, "position_embedding_type", std::string("absolute"));
  require(positions == "absolute", c.model_type, ": position_embedding_type \"", positions,
          "\" is not supported; only \"absolute\" is");
  require(!field_or(json, "is_decoder", false), c.model_type, ": is_decoder is not supported; only encoders are");
  c.vocab_size = field_or(json, "vocab_size", int64_t{30522});
  c.hidden_size = field_or(json, "hidden_size", int64_t{768});
  c.num_hidden_layers = field_or(json, "num_hidden_layers", int64_t{12});
  c.num_attention_heads = field_or(json, "num_attention_heads", int64_t{12});
  c.intermediate_size = field_or(json, "intermediate_size", int64_t{3072});
  c.max_position_embeddings = field_or(json, "max_position_embeddings", int64_t{512});
  c.type_vocab_size = field_or(json, "type_vocab_size", int64_t{2});
  c.hidden_act = field_or(json, "hidden_act", std::string("gelu"));
  c.norm_eps = field_or(json, "layer_norm_eps", 1e-12);
  c.embd_pdrop = c.resid_pdrop = field_or(json, "hidden_dropout_prob", 0.1);
}

void write_bidirectional(const ModelConfig& c, nlohmann::json& json) {
  json["hidden_size"] = c.hidden_size;
  json["num_hidden_layers"] = c.num_hidden_layers;
  json["num_attention_heads"] = c.num_attention_heads;
  json["intermediate_size"] = c.intermediate_size;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["type_vocab_size"] = c.type_vocab_size;
  json["hidden_act"] = c.hidden_act;
  json["layer_norm_eps"] = c.norm_eps;
  json["hidden_dropout_prob"] = c.resid_pdrop;
  json["attention_probs_dropout_prob"] = 0.0;
  write_labels(c, json);
}

void read_bidirectional_gguf(const GgufFile& file, const std::string& architecture, ModelConfig& c) {
  require(!file.fields().boolean("bert.attention.causal", false), file.path(),
          ": bert.attention.causal is true; only encoders are supported");
  c.type_vocab_size = file.fields().integer("tokenizer.ggml.token_type_count", 0);
  c.pad_token_id = file.fields().integer("tokenizer.ggml.padding_token_id", c.pad_token_id);
  c.architecture = architecture;
}

/// Files hold the encoder alone; llama.cpp's GELU is the exact one.
void write_bidirectional_gguf(const ModelConfig& c, int64_t token_types, GgufMetadata& metadata) {
  require(task_of(c) == Task::hidden, c.model_type, ": the head of ", architecture_of(c),
          " cannot be kept in a GGUF file; only encoders (...Model) can");
  require(c.hidden_act == "gelu", c.model_type, ": hidden_act ", c.hidden_act,
          " cannot be kept in a GGUF file, whose bert architecture has gelu");
  write_gguf_sizes(c, "bert", GgufNorm::layer, metadata);
  metadata.set_bool("bert.attention.causal", false);
  metadata.set_u32("tokenizer.ggml.token_type_count", token_types);
}

std::vector<GgufName> bert_gguf_names(const std::string& model) {
  const std::string embeddings = model + ".embeddings.", layer = model + ".encoder.layer.*.";
  return {{embeddings + "word_embeddings", "token_embd"},
          {embeddings + "position_embeddings", "position_embd"},
          {embeddings + "token_type_embeddings", "token_types"},
          {embeddings + "LayerNorm", "token_embd_norm"},
          {layer + "attention.self.query", "blk.*.attn_q"},
          {layer + "attention.self.key", "blk.*.attn_k"},
          {layer + "attention.self.value", "blk.*.attn_v"},
          {layer + "attention.output.dense", "blk.*.attn_output"},
          {layer + "attention.output.LayerNorm", "blk.*.attn_output_norm"},
          {layer + "intermediate.dense", "blk.*.ffn_up"},
          {layer + "output.dense", "blk.*.ffn_down"},
          {layer + "output.LayerNorm", "blk.*.layer_output_norm"}};
}

void write_labels(const ModelConfig& c, nlohmann::json& json) {
  json["pad_token_id"] = c.pad_token_id >= 0 ? nlohmann::json(c.pad_token_id) : nlohmann::json(nullptr);
  json["id2label"] = json["label2id"] = nlohmann::json::object();
  for (size_t i = 0; i < c.labels.size(); ++i) {
    json["id2label"][std::to_string(i)] = c.labels[i];
    json["label2id"][c.labels[i]] = i;
  }
}

}  // namespace lathe
