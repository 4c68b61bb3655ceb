// BLOOM (Le Scao et al. 2022): LayerNorm, also behind the embedding, and ALiBi in place of positions.
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/layers.h"

namespace lathe {
namespace {

class Embedding : public Block {
 public:
  Embedding(const ModelConfig& c, TokenTable& table)
      : table_(table), norm_("transformer.word_embeddings_layernorm", c.hidden_size, c.norm_eps) {}
  Tensor forward(const Tensor&, Pass& pass) override { return norm_(table_.weight->rows(pass.tokens())); }
  void list(Inventory& inventory) override {
    table_.list(inventory);
    norm_.list(inventory);
  }

 private:
  TokenTable& table_;
  LayerNorm norm_;
};

std::unique_ptr<Block> layer(const ModelConfig& c, int number, Mesh& mesh) {
  const std::string name = text("transformer.h.", number), attention = name + ".self_attention.",
                    mlp = name + ".mlp.dense_";
  return std::make_unique<SequentialLayer>(LayerParts{
      .layer = number,
      .attention_norm = std::make_unique<LayerNorm>(name + ".input_layernorm", c.hidden_size, c.norm_eps),
      .attention = std::make_unique<SelfAttention>(AttentionOptions{
          .layer = number,
          .spec = attention_spec(c, number, mesh),
          .qkv = projection(c, c.hidden_size, interleaved_query_key_value(c, attention + "query_key_value"), true,
                            Split::out, mesh),
          .o = projection(c, c.hidden_size, {{attention + "dense", c.hidden_size}}, true, Split::in, mesh),
          .alibi = alibi_of(c, mesh, 1)}),
      .mlp_norm = std::make_unique<LayerNorm>(name + ".post_attention_layernorm", c.hidden_size, c.norm_eps),
      .mlp = std::make_unique<PlainMlp>(
          c.hidden_act, projection(c, c.hidden_size, {{mlp + "h_to_4h", c.intermediate_size}}, true, Split::out, mesh),
          projection(c, c.intermediate_size, {{mlp + "4h_to_h", c.hidden_size}}, true, Split::in, mesh)),
      .dropout = float(c.resid_pdrop)});
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  auto table = std::make_unique<TokenTable>("transformer.word_embeddings.weight", c.vocab_size, c.hidden_size,
                                            Init::normal(float(c.initializer_range)));
  TokenTable& tokens = *table;
  HeadOptions head{.norm = std::make_unique<LayerNorm>("transformer.ln_f", c.hidden_size, c.norm_eps)};
  return make_decoder(
      c, std::move(table), std::make_unique<Embedding>(c, tokens), [&](int number) { return layer(c, number, mesh); },
      make_decoder_head(c, tokens, std::move(head), mesh));
}

void complete(ModelConfig& c) {
  if (c.intermediate_size == 0) c.intermediate_size = 4 * c.hidden_size;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 2048;
  if (c.norm_eps == 0) c.norm_eps = 1e-5;
  if (c.hidden_act.empty()) c.hidden_act = "gelu_pytorch_tanh";
  c.attention_bias = c.mlp_bias = c.alibi = true;
  require(c.num_key_value_heads == c.num_attention_heads && c.head_dim * c.num_attention_heads == c.hidden_size,
          "bloom: num_key_value_heads ", c.num_key_value_heads, " must equal num_attention_heads ",
          c.num_attention_heads, ", and head_dim ", c.head_dim, " times those hidden_size ", c.hidden_size);
  require(c.intermediate_size == 4 * c.hidden_size && c.hidden_act == "gelu_pytorch_tanh", "bloom: intermediate_size ",
          c.intermediate_size, " must be 4 x hidden_size ", c.hidden_size, ", and hidden_act ", c.hidden_act,
          " gelu_pytorch_tanh: files cannot say anything else");
  require(c.embd_pdrop == 0, "bloom: embd_pdrop must be 0");
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = 250880;
  c.hidden_size = 64;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 8;
  c.tie_word_embeddings = true;
  for (const char* name : {"n_embed", "hidden_size"}) read_field(json, name, c.hidden_size);
  for (const char* name : {"num_hidden_layers", "n_layer"}) read_field(json, name, c.num_hidden_layers);
  for (const char* name : {"num_attention_heads", "n_head"}) read_field(json, name, c.num_attention_heads);
  read_field(json, "vocab_size", c.vocab_size);
  read_field(json, "seq_length", c.max_position_embeddings);
  read_field(json, "layer_norm_epsilon", c.norm_eps);
  read_field(json, "hidden_dropout", c.resid_pdrop);
  read_field(json, "tie_word_embeddings", c.tie_word_embeddings);
  require_field(json, c, "apply_residual_connection_post_layernorm", false);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  json["hidden_size"] = c.hidden_size;
  json["n_layer"] = c.num_hidden_layers;
  json["n_head"] = c.num_attention_heads;
  json["seq_length"] = c.max_position_embeddings;
  json["layer_norm_epsilon"] = c.norm_eps;
  json["hidden_dropout"] = c.resid_pdrop;
  json["attention_dropout"] = 0.0;
}

/// Many files hold the table of tokens twice.
void read_gguf(const GgufFile&, ModelConfig& c) { c.tie_word_embeddings = true; }

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  write_gguf_sizes(c, "bloom", GgufNorm::layer, metadata);
}

std::vector<GgufName> gguf_names() {
  return {{"transformer.word_embeddings", "token_embd"},
          {"transformer.word_embeddings", "output"},
          {"transformer.word_embeddings_layernorm", "token_embd_norm"},
          {"transformer.ln_f", "output_norm"},
          {"transformer.h.*.input_layernorm", "blk.*.attn_norm"},
          {"transformer.h.*.self_attention.query_key_value", "blk.*.attn_qkv", row_of_interleaved_heads},
          {"transformer.h.*.self_attention.dense", "blk.*.attn_output"},
          {"transformer.h.*.post_attention_layernorm", "blk.*.ffn_norm"},
          {"transformer.h.*.mlp.dense_h_to_4h", "blk.*.ffn_up"},
          {"transformer.h.*.mlp.dense_4h_to_h", "blk.*.ffn_down"}};
}

const bool provided = provide_family({.model_type = "bloom",
                                      .architecture = "BloomForCausalLM",
                                      .tensor_prefix = "transformer.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "bloom",
                                                       .read = read_gguf,
                                                       .write = write_gguf,
                                                       .names = gguf_names(),
                                                       .keys = {"attention.max_alibi_bias"}}});

}  // namespace
}  // namespace lathe
