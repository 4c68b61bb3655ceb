// DistilBERT (Sanh et al. 2019): BERT with half the layers, without segments and without a pooler.
#include <cmath>

#include "lathe/models/bidirectional.h"
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"

namespace lathe {
namespace {

constexpr double kNormEps = 1e-12;  ///< config.json says no other

EncoderLayerNames layer_names(int layer) {
  std::string name = text("distilbert.transformer.layer.", layer);
  return {.q = name + ".attention.q_lin",
          .k = name + ".attention.k_lin",
          .v = name + ".attention.v_lin",
          .o = name + ".attention.out_lin",
          .attention_norm = name + ".sa_layer_norm",
          .up = name + ".ffn.lin1",
          .down = name + ".ffn.lin2",
          .output_norm = name + ".output_layer_norm"};
}

HeadNames head_names(const ModelConfig& c) {
  return {.masked_dense = "vocab_transform",
          .masked_norm = "vocab_layer_norm",
          .masked_bias = "vocab_projector.bias",
          .sequence_dense = "pre_classifier",
          .sequence_out = "classifier",
          .token_out = "classifier",
          .span_out = "qa_outputs",
          .masked_activation = activation_named(c.hidden_act),
          .sequence_activation = Activation::relu};
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  return make_bidirectional(c,
                            {.tokens = "distilbert.embeddings.word_embeddings.weight",
                             .embedding = {.positions = "distilbert.embeddings.position_embeddings.weight",
                                           .types = "",
                                           .norm = "distilbert.embeddings.LayerNorm"},
                             .layer = layer_names,
                             .head = head_names(c)},
                            mesh);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = field_or(json, "vocab_size", int64_t{30522});
  c.hidden_size = field_or(json, "dim", int64_t{768});
  c.num_hidden_layers = field_or(json, "n_layers", int64_t{6});
  c.num_attention_heads = field_or(json, "n_heads", int64_t{12});
  c.intermediate_size = field_or(json, "hidden_dim", int64_t{3072});
  c.max_position_embeddings = field_or(json, "max_position_embeddings", int64_t{512});
  c.hidden_act = field_or(json, "activation", std::string("gelu"));
  c.norm_eps = kNormEps;
  c.embd_pdrop = c.resid_pdrop = field_or(json, "dropout", 0.1);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  json["dim"] = c.hidden_size;
  json["n_layers"] = c.num_hidden_layers;
  json["n_heads"] = c.num_attention_heads;
  json["hidden_dim"] = c.intermediate_size;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["activation"] = c.hidden_act;
  json["dropout"] = c.resid_pdrop;
  json["attention_dropout"] = 0.0;
  write_labels(c, json);
}

/// A file of BERT's kind, not of RoBERTa's, without segments.
bool is_distilbert(const GgufFile& file) {
  const std::string tokenizer = file.fields().string("tokenizer.ggml.model", "");
  return tokenizer != "gpt2" && tokenizer != "t5" && !file.find("token_types.weight");
}

void read_gguf(const GgufFile& file, ModelConfig& c) {
  c.pad_token_id = 0;
  read_bidirectional_gguf(file, "DistilBertModel", c);
  require(std::abs(c.norm_eps - kNormEps) < kNormEps / 1000, file.path(),
          ": bert.attention.layer_norm_epsilon = ", c.norm_eps,
          ", but without token_types.weight this is DistilBERT's, which has ", kNormEps);
  c.norm_eps = kNormEps;
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) { write_bidirectional_gguf(c, 1, metadata); }

std::vector<GgufName> gguf_names() {
  const std::string embeddings = "distilbert.embeddings.", layer = "distilbert.transformer.layer.*.";
  return {{embeddings + "word_embeddings", "token_embd"},
          {embeddings + "position_embeddings", "position_embd"},
          {embeddings + "LayerNorm", "token_embd_norm"},
          {layer + "attention.q_lin", "blk.*.attn_q"},
          {layer + "attention.k_lin", "blk.*.attn_k"},
          {layer + "attention.v_lin", "blk.*.attn_v"},
          {layer + "attention.out_lin", "blk.*.attn_output"},
          {layer + "sa_layer_norm", "blk.*.attn_output_norm"},
          {layer + "ffn.lin1", "blk.*.ffn_up"},
          {layer + "ffn.lin2", "blk.*.ffn_down"},
          {layer + "output_layer_norm", "blk.*.layer_output_norm"}};
}

const bool provided = provide_family({.model_type = "distilbert",
                                      .architecture = "DistilBertForMaskedLM",
                                      .tensor_prefix = "distilbert.",
                                      .complete = complete_bidirectional,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "bert",
                                                       .is = is_distilbert,
                                                       .read = read_gguf,
                                                       .write = write_gguf,
                                                       .names = gguf_names(),
                                                       .keys = {"attention.causal"}},
                                      .reading = Reading::encoder});

}  // namespace
}  // namespace lathe
