// GPT-2 (Radford et al. 2019): learned positions, LayerNorm before each part, GELU, biases everywhere, a tied head.
#include <cmath>

#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/layers.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/embedding.h"

namespace lathe {
namespace {

class Embedding : public Block {
 public:
  Embedding(const ModelConfig& c, TokenTable& table)
      : table_(table),
        dropout_(float(c.embd_pdrop)),
        positions_({c.max_position_embeddings, c.hidden_size},
                   {whole_matrix("transformer.wpe.weight", c.max_position_embeddings, c.hidden_size)},
                   Init::normal(0.01f)) {}
  Tensor forward(const Tensor&, Pass& pass) override {
    Tensor tokens = table_.weight->rows(pass.tokens());
    return pass.drop(add(tokens, embedding(pass.positions(), positions_.value)), dropout_, -1, 0);
  }
  void list(Inventory& inventory) override {
    table_.list(inventory);
    inventory.add(positions_);
  }

 private:
  TokenTable& table_;
  float dropout_;
  Parameter positions_;
};

/// Projections that end in the residual start smaller, by the root of how many there are (section 2.3 of the paper).
LinearOptions linear(const ModelConfig& c, int64_t in, std::vector<Section> sections, Split split, Mesh& mesh) {
  LinearOptions options = projection(c, in, std::move(sections), true, split, mesh);
  options.transposed = true;
  if (split == Split::in)
    options.init = Init::normal(float(c.initializer_range) / std::sqrt(2 * float(c.num_hidden_layers)));
  return options;
}

std::unique_ptr<Block> layer(const ModelConfig& c, int number, Mesh& mesh) {
  const std::string name = text("transformer.h.", number), c_attn = name + ".attn.c_attn";
  return std::make_unique<SequentialLayer>(LayerParts{
      .layer = number,
      .attention_norm = std::make_unique<LayerNorm>(name + ".ln_1", c.hidden_size, c.norm_eps),
      .attention = std::make_unique<SelfAttention>(AttentionOptions{
          .layer = number,
          .spec = attention_spec(c, number, mesh),
          .qkv = linear(c, c.hidden_size, query_key_value(c, c_attn, c_attn, c_attn), Split::out, mesh),
          .o = linear(c, c.hidden_size, {{name + ".attn.c_proj", c.hidden_size}}, Split::in, mesh)}),
      .mlp_norm = std::make_unique<LayerNorm>(name + ".ln_2", c.hidden_size, c.norm_eps),
      .mlp = std::make_unique<PlainMlp>(
          c.hidden_act, linear(c, c.hidden_size, {{name + ".mlp.c_fc", c.intermediate_size}}, Split::out, mesh),
          linear(c, c.intermediate_size, {{name + ".mlp.c_proj", c.hidden_size}}, Split::in, mesh)),
      .dropout = float(c.resid_pdrop)});
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  auto table = std::make_unique<TokenTable>("transformer.wte.weight", c.vocab_size, c.hidden_size,
                                            Init::normal(float(c.initializer_range)));
  TokenTable& tokens = *table;
  auto norm = std::make_unique<LayerNorm>("transformer.ln_f", c.hidden_size, c.norm_eps);
  return make_decoder(
      c, std::move(table), std::make_unique<Embedding>(c, tokens), [&](int number) { return layer(c, number, mesh); },
      make_decoder_head(c, tokens, HeadOptions{.norm = std::move(norm)}, mesh));
}

void complete(ModelConfig& c) {
  if (c.intermediate_size == 0) c.intermediate_size = 4 * c.hidden_size;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 1024;
  if (c.norm_eps == 0) c.norm_eps = 1e-5;
  if (c.hidden_act.empty()) c.hidden_act = "gelu_new";
  c.tie_word_embeddings = c.attention_bias = c.mlp_bias = true;
  require(c.num_key_value_heads == c.num_attention_heads, "gpt2: num_key_value_heads ", c.num_key_value_heads,
          " must equal num_attention_heads ", c.num_attention_heads, "; llama has grouped queries");
  require(c.head_dim * c.num_attention_heads == c.hidden_size, "gpt2: head_dim ", c.head_dim, " x num_attention_heads ",
          c.num_attention_heads, " must be hidden_size ", c.hidden_size);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = field_or(json, "vocab_size", int64_t{50257});
  c.hidden_size = field_or(json, "n_embd", int64_t{768});
  c.num_hidden_layers = field_or(json, "n_layer", int64_t{12});
  c.num_attention_heads = field_or(json, "n_head", int64_t{12});
  c.max_position_embeddings = field_or(json, "n_positions", int64_t{1024});
  read_field(json, "n_inner", c.intermediate_size);
  c.hidden_act = field_or(json, "activation_function", std::string("gelu_new"));
  c.norm_eps = field_or(json, "layer_norm_epsilon", 1e-5);
  c.embd_pdrop = field_or(json, "embd_pdrop", 0.1);
  c.resid_pdrop = field_or(json, "resid_pdrop", 0.1);
  require_field(json, c, "scale_attn_weights", true);
  require_field(json, c, "scale_attn_by_inverse_layer_idx", false);
  require_field(json, c, "add_cross_attention", false);
  require_field(json, c, "tie_word_embeddings", true);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  json["n_embd"] = c.hidden_size;
  json["n_layer"] = c.num_hidden_layers;
  json["n_head"] = c.num_attention_heads;
  json["n_positions"] = c.max_position_embeddings;
  json["n_ctx"] = c.max_position_embeddings;
  json["n_inner"] = c.intermediate_size;
  json["activation_function"] = c.hidden_act;
  json["layer_norm_epsilon"] = c.norm_eps;
  json["embd_pdrop"] = c.embd_pdrop;
  json["resid_pdrop"] = c.resid_pdrop;
  json["attn_pdrop"] = 0.0;
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  write_gguf_sizes(c, "gpt2", GgufNorm::layer, metadata);
}

std::vector<GgufName> gguf_names() {
  return {{"transformer.wte", "token_embd"},
          {"transformer.wpe", "position_embd"},
          {"transformer.wte", "output"},  // some files hold it twice
          {"transformer.ln_f", "output_norm"},
          {"transformer.h.*.ln_1", "blk.*.attn_norm"},
          {"transformer.h.*.attn.c_attn", "blk.*.attn_qkv"},
          {"transformer.h.*.attn.c_proj", "blk.*.attn_output"},
          {"transformer.h.*.ln_2", "blk.*.ffn_norm"},
          {"transformer.h.*.mlp.c_fc", "blk.*.ffn_up"},
          {"transformer.h.*.mlp.c_proj", "blk.*.ffn_down"}};
}

const bool provided = provide_family({.model_type = "gpt2",
                                      .architecture = "GPT2LMHeadModel",
                                      .tensor_prefix = "transformer.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "gpt2",
                                                       .read = [](const GgufFile&, ModelConfig&) {},
                                                       .write = write_gguf,
                                                       .names = gguf_names()}});

}  // namespace
}  // namespace lathe
