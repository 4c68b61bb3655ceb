// GPT-J (Wang & Komatsuzaki 2021): attention and MLP beside each other behind one LayerNorm; rotary positions turn
// neighbouring values of the first rotary_dim of each head.
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/layers.h"

namespace lathe {
namespace {

std::unique_ptr<Block> layer(const ModelConfig& c, int number, Mesh& mesh) {
  const std::string name = text("transformer.h.", number), attn = name + ".attn.", mlp = name + ".mlp.";
  AttentionSpec spec = attention_spec(c, number, mesh);
  spec.rotary = rotary_spec(c);
  spec.rotary.interleaved = true;
  auto qkv = query_key_value(c, attn + "q_proj", attn + "k_proj", attn + "v_proj");
  return std::make_unique<ParallelLayer>(LayerParts{
      .layer = number,
      .attention_norm = std::make_unique<LayerNorm>(name + ".ln_1", c.hidden_size, c.norm_eps),
      .attention = std::make_unique<SelfAttention>(AttentionOptions{
          .layer = number,
          .spec = spec,
          .qkv = projection(c, c.hidden_size, qkv, false, Split::out, mesh),
          .o = projection(c, c.hidden_size, {{attn + "out_proj", c.hidden_size}}, false, Split::in, mesh)}),
      .mlp = std::make_unique<PlainMlp>(
          c.hidden_act, projection(c, c.hidden_size, {{mlp + "fc_in", c.intermediate_size}}, true, Split::out, mesh),
          projection(c, c.intermediate_size, {{mlp + "fc_out", c.hidden_size}}, true, Split::in, mesh)),
      .dropout = float(c.resid_pdrop)});
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  auto table = std::make_unique<TokenTable>("transformer.wte.weight", c.vocab_size, c.hidden_size,
                                            Init::normal(float(c.initializer_range)));
  TokenTable& tokens = *table;
  HeadOptions head{.norm = std::make_unique<LayerNorm>("transformer.ln_f", c.hidden_size, c.norm_eps), .bias = true};
  return make_decoder(
      c, std::move(table), std::make_unique<TokenEmbedding>(tokens, 1, float(c.embd_pdrop)),
      [&](int number) { return layer(c, number, mesh); }, make_decoder_head(c, tokens, std::move(head), mesh));
}

void complete(ModelConfig& c) {
  if (c.intermediate_size == 0) c.intermediate_size = 4 * c.hidden_size;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 2048;
  if (c.norm_eps == 0) c.norm_eps = 1e-5;
  if (c.rope_theta == 0) c.rope_theta = 10000;
  if (c.partial_rotary_factor == 0) c.partial_rotary_factor = 0.25;
  if (c.hidden_act.empty()) c.hidden_act = "gelu_new";
  c.mlp_bias = c.use_parallel_residual = true;
  require(c.num_key_value_heads == c.num_attention_heads && c.head_dim * c.num_attention_heads == c.hidden_size,
          "gptj: num_key_value_heads ", c.num_key_value_heads, " must equal num_attention_heads ",
          c.num_attention_heads, ", and head_dim ", c.head_dim, " times those hidden_size ", c.hidden_size);
  require(c.rope_theta == 10000 && c.rope_scaling.rope_type.empty(), "gptj: rope_theta ", c.rope_theta,
          " must be 10000, without rope_scaling");
  require(!c.tie_word_embeddings && !c.attention_bias,
          "gptj: tie_word_embeddings and attention_bias must be false: its head has a bias, its attention none");
  rotary_spec(c);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = 50400;
  c.hidden_size = 4096;
  c.num_hidden_layers = 28;
  c.num_attention_heads = 16;
  c.max_position_embeddings = 2048;
  read_field(json, "vocab_size", c.vocab_size);
  read_field(json, "n_embd", c.hidden_size);
  read_field(json, "n_layer", c.num_hidden_layers);
  read_field(json, "n_head", c.num_attention_heads);
  read_field(json, "n_positions", c.max_position_embeddings);
  read_field(json, "n_inner", c.intermediate_size);
  read_field(json, "activation_function", c.hidden_act);
  read_field(json, "layer_norm_epsilon", c.norm_eps);
  read_field(json, "embd_pdrop", c.embd_pdrop);
  read_field(json, "resid_pdrop", c.resid_pdrop);
  read_field(json, "tie_word_embeddings", c.tie_word_embeddings);
  require_field(json, c, "scale_attn_weights", true);
  int64_t rotary_dim = json.contains("rotary_dim") ? 0 : 64;
  read_field(json, "rotary_dim", rotary_dim);
  require(c.num_attention_heads > 0 && c.hidden_size > 0 && rotary_dim > 0 &&
              rotary_dim <= c.hidden_size / c.num_attention_heads,
          "gptj: rotary_dim ", rotary_dim, " does not fit heads of n_embd ", c.hidden_size, " / n_head ",
          c.num_attention_heads);
  c.partial_rotary_factor = double(rotary_dim) / double(c.hidden_size / c.num_attention_heads);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  json["n_embd"] = c.hidden_size;
  json["n_layer"] = c.num_hidden_layers;
  json["n_head"] = c.num_attention_heads;
  json["n_positions"] = c.max_position_embeddings;
  json["n_inner"] = c.intermediate_size;
  json["rotary_dim"] = rotary_spec(c).dims;
  json["activation_function"] = c.hidden_act;
  json["layer_norm_epsilon"] = c.norm_eps;
  json["embd_pdrop"] = c.embd_pdrop;
  json["resid_pdrop"] = c.resid_pdrop;
  json["attn_pdrop"] = 0.0;
}

const bool provided = provide_family({.model_type = "gptj",
                                      .architecture = "GPTJForCausalLM",
                                      .tensor_prefix = "transformer.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write});

}  // namespace
}  // namespace lathe
