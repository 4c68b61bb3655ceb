// GPT-NeoX and Pythia (Black et al. 2022; Biderman et al. 2023): LayerNorm, rotary positions of a part of each head,
// attention and MLP beside each other.
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/layers.h"

namespace lathe {
namespace {

std::unique_ptr<Block> layer(const ModelConfig& c, int number, Mesh& mesh) {
  const std::string name = text("gpt_neox.layers.", number), mlp = name + ".mlp.dense_";
  AttentionSpec spec = attention_spec(c, number, mesh);
  spec.rotary = rotary_spec(c);
  auto qkv = interleaved_query_key_value(c, name + ".attention.query_key_value");
  LayerParts parts{
      .layer = number,
      .attention_norm = std::make_unique<LayerNorm>(name + ".input_layernorm", c.hidden_size, c.norm_eps),
      .attention = std::make_unique<SelfAttention>(
          AttentionOptions{.layer = number,
                           .spec = spec,
                           .qkv = projection(c, c.hidden_size, qkv, c.attention_bias, Split::out, mesh),
                           .o = projection(c, c.hidden_size, {{name + ".attention.dense", c.hidden_size}},
                                           c.attention_bias, Split::in, mesh)}),
      .mlp_norm = std::make_unique<LayerNorm>(name + ".post_attention_layernorm", c.hidden_size, c.norm_eps),
      .mlp = std::make_unique<PlainMlp>(
          c.hidden_act, projection(c, c.hidden_size, {{mlp + "h_to_4h", c.intermediate_size}}, true, Split::out, mesh),
          projection(c, c.intermediate_size, {{mlp + "4h_to_h", c.hidden_size}}, true, Split::in, mesh)),
      .dropout = float(c.resid_pdrop)};
  if (c.use_parallel_residual) return std::make_unique<ParallelLayer>(std::move(parts));
  return std::make_unique<SequentialLayer>(std::move(parts));
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  auto table = std::make_unique<TokenTable>("gpt_neox.embed_in.weight", c.vocab_size, c.hidden_size,
                                            Init::normal(float(c.initializer_range)));
  TokenTable& tokens = *table;
  HeadOptions head{.norm = std::make_unique<LayerNorm>("gpt_neox.final_layer_norm", c.hidden_size, c.norm_eps),
                   .name = "embed_out"};
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
  if (c.hidden_act.empty()) c.hidden_act = "gelu";
  c.mlp_bias = true;
  require(c.num_key_value_heads == c.num_attention_heads && c.head_dim * c.num_attention_heads == c.hidden_size,
          "gpt_neox: num_key_value_heads ", c.num_key_value_heads, " must equal num_attention_heads ",
          c.num_attention_heads, ", and head_dim ", c.head_dim, " times those hidden_size ", c.hidden_size);
  rotary_spec(c);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = 50432;
  c.hidden_size = 6144;
  c.num_hidden_layers = 44;
  c.num_attention_heads = 64;
  c.intermediate_size = 24576;
  c.hidden_act = "gelu";
  c.max_position_embeddings = 2048;
  c.norm_eps = 1e-5;
  c.attention_bias = c.use_parallel_residual = true;
  c.rope_theta = 10000;
  c.partial_rotary_factor = 0.25;
  read_field(json, "rotary_emb_base", c.rope_theta);
  read_field(json, "rotary_pct", c.partial_rotary_factor);
  read_llama_fields(json, c);
  read_field(json, "layer_norm_eps", c.norm_eps);
  read_field(json, "attention_bias", c.attention_bias);
  read_field(json, "use_parallel_residual", c.use_parallel_residual);
  read_field(json, "hidden_dropout", c.resid_pdrop);
  c.embd_pdrop = c.resid_pdrop;
}

void write(const ModelConfig& c, nlohmann::json& json) {
  json["hidden_size"] = c.hidden_size;
  json["num_hidden_layers"] = c.num_hidden_layers;
  json["num_attention_heads"] = c.num_attention_heads;
  json["intermediate_size"] = c.intermediate_size;
  json["hidden_act"] = c.hidden_act;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["layer_norm_eps"] = c.norm_eps;
  write_rope(c, json);
  json["rotary_emb_base"] = c.rope_theta;
  json["rotary_pct"] = c.partial_rotary_factor;
  json["attention_bias"] = c.attention_bias;
  json["use_parallel_residual"] = c.use_parallel_residual;
  json["hidden_dropout"] = c.resid_pdrop;
}

void read_gguf(const GgufFile& file, ModelConfig& c) {
  c.use_parallel_residual = file.fields().boolean("gptneox.use_parallel_residual", true);
  c.attention_bias = file.find("blk.0.attn_qkv.bias") != nullptr;
  int64_t head_dim = c.hidden_size / std::max<int64_t>(c.num_attention_heads, 1);
  c.partial_rotary_factor =
      double(file.fields().integer("gptneox.rope.dimension_count", head_dim)) / double(std::max<int64_t>(head_dim, 1));
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  write_gguf_sizes(c, "gptneox", GgufNorm::layer, metadata);
  require(c.rope_scaling.rope_type.empty() && c.rope_theta == 10000, "gpt_neox: rope_scaling and rope_theta ",
          c.rope_theta, " other than 10000 cannot be kept in a GGUF file");
  metadata.set_u32("gptneox.rope.dimension_count", rotary_spec(c).dims);
  metadata.set_bool("gptneox.use_parallel_residual", c.use_parallel_residual);
}

std::vector<GgufName> gguf_names() {
  return {{"gpt_neox.embed_in", "token_embd"},
          {"gpt_neox.final_layer_norm", "output_norm"},
          {"embed_out", "output"},
          {"gpt_neox.layers.*.input_layernorm", "blk.*.attn_norm"},
          {"gpt_neox.layers.*.attention.query_key_value", "blk.*.attn_qkv", row_of_interleaved_heads},
          {"gpt_neox.layers.*.attention.dense", "blk.*.attn_output"},
          {"gpt_neox.layers.*.post_attention_layernorm", "blk.*.ffn_norm"},
          {"gpt_neox.layers.*.mlp.dense_h_to_4h", "blk.*.ffn_up"},
          {"gpt_neox.layers.*.mlp.dense_4h_to_h", "blk.*.ffn_down"}};
}

const bool provided = provide_family({.model_type = "gpt_neox",
                                      .architecture = "GPTNeoXForCausalLM",
                                      .tensor_prefix = "gpt_neox.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "gptneox",
                                                       .read = read_gguf,
                                                       .write = write_gguf,
                                                       .names = gguf_names(),
                                                       .keys = {"rope.dimension_count"},
                                                       .head_apart = true}});

}  // namespace
}  // namespace lathe
