// Falcon (Almazrouei et al. 2023): attention and MLP beside each other, one head of keys and values for all queries
// (7B) or for groups of them (40B, "new_decoder_architecture"); Falcon-RW has neither, and ALiBi.
#include <cmath>

#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/layers.h"

namespace lathe {
namespace {

std::unique_ptr<Part> attention(const ModelConfig& c, int number, const std::string& name, Mesh& mesh) {
  AttentionOptions options{
      .layer = number,
      .spec = attention_spec(c, number, mesh),
      .qkv = projection(c, c.hidden_size, interleaved_query_key_value(c, name + ".query_key_value"), c.attention_bias,
                        Split::out, mesh),
      .o = projection(c, c.hidden_size, {{name + ".dense", c.hidden_size}}, c.attention_bias, Split::in, mesh)};
  if (c.alibi)
    options.alibi = alibi_of(c, mesh, options.spec.scale);  // biases are scaled as the scores are
  else
    options.spec.rotary = rotary_spec(c);
  return std::make_unique<SelfAttention>(std::move(options));
}

std::unique_ptr<Block> layer(const ModelConfig& c, int number, Mesh& mesh) {
  const std::string name = text("transformer.h.", number), mlp = name + ".mlp.dense_";
  bool two = c.use_parallel_residual && c.num_ln_in_parallel_attn == 2;
  auto norm = [&](const char* which) { return std::make_unique<LayerNorm>(name + which, c.hidden_size, c.norm_eps); };
  LayerParts parts{
      .layer = number,
      .attention_norm = norm(two ? ".ln_attn" : ".input_layernorm"),
      .attention = attention(c, number, name + ".self_attention", mesh),
      .mlp = std::make_unique<PlainMlp>(
          c.hidden_act,
          projection(c, c.hidden_size, {{mlp + "h_to_4h", c.intermediate_size}}, c.mlp_bias, Split::out, mesh),
          projection(c, c.intermediate_size, {{mlp + "4h_to_h", c.hidden_size}}, c.mlp_bias, Split::in, mesh)),
      .dropout = float(c.resid_pdrop)};
  if (two) parts.mlp_norm = norm(".ln_mlp");
  if (c.use_parallel_residual) return std::make_unique<ParallelLayer>(std::move(parts));
  parts.mlp_norm = norm(".post_attention_layernorm");
  return std::make_unique<SequentialLayer>(std::move(parts));
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  auto table = std::make_unique<TokenTable>("transformer.word_embeddings.weight", c.vocab_size, c.hidden_size,
                                            Init::normal(float(c.initializer_range)));
  TokenTable& tokens = *table;
  HeadOptions head{.norm = std::make_unique<LayerNorm>("transformer.ln_f", c.hidden_size, c.norm_eps)};
  return make_decoder(
      c, std::move(table), std::make_unique<TokenEmbedding>(tokens), [&](int number) { return layer(c, number, mesh); },
      make_decoder_head(c, tokens, std::move(head), mesh));
}

void complete(ModelConfig& c) {
  if (c.intermediate_size == 0) c.intermediate_size = 4 * c.hidden_size;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 2048;
  if (c.norm_eps == 0) c.norm_eps = 1e-5;
  if (c.rope_theta == 0) c.rope_theta = 10000;
  if (c.hidden_act.empty()) c.hidden_act = "gelu";
  if (c.num_ln_in_parallel_attn == 0) c.num_ln_in_parallel_attn = 1;
  require(c.head_dim * c.num_attention_heads == c.hidden_size, "falcon: head_dim ", c.head_dim,
          " x num_attention_heads ", c.num_attention_heads, " must be hidden_size ", c.hidden_size);
  require(c.attention_bias == c.mlp_bias, "falcon: attention_bias and mlp_bias must agree: files have one field, bias");
  require(c.use_parallel_residual || c.num_ln_in_parallel_attn == 1,
          "falcon: num_ln_in_parallel_attn = ", c.num_ln_in_parallel_attn, " needs use_parallel_residual");
  require(c.embd_pdrop == 0, "falcon: embd_pdrop must be 0");
  if (!c.alibi) rotary_spec(c);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = 65024;
  c.hidden_size = 4544;
  c.num_hidden_layers = 32;
  c.num_attention_heads = 71;
  c.max_position_embeddings = 2048;
  c.rope_theta = 10000;
  c.tie_word_embeddings = c.use_parallel_residual = true;
  for (const char* name : {"n_embed", "hidden_size"}) read_field(json, name, c.hidden_size);
  for (const char* name : {"n_layer", "num_hidden_layers"}) read_field(json, name, c.num_hidden_layers);
  for (const char* name : {"n_head", "num_attention_heads"}) read_field(json, name, c.num_attention_heads);
  read_field(json, "vocab_size", c.vocab_size);
  read_field(json, "max_position_embeddings", c.max_position_embeddings);
  read_field(json, "ffn_hidden_size", c.intermediate_size);
  read_field(json, "activation", c.hidden_act);
  read_field(json, "layer_norm_epsilon", c.norm_eps);
  read_field(json, "hidden_dropout", c.resid_pdrop);
  read_field(json, "tie_word_embeddings", c.tie_word_embeddings);
  read_field(json, "alibi", c.alibi);
  read_field(json, "parallel_attn", c.use_parallel_residual);
  read_field(json, "bias", c.attention_bias);
  c.mlp_bias = c.attention_bias;
  require_field(json, c, "apply_residual_connection_post_layernorm", false);
  bool grouped = false, one = true;
  read_field(json, "new_decoder_architecture", grouped);
  read_field(json, "multi_query", one);
  c.num_key_value_heads = grouped || !one ? c.num_attention_heads : 1;
  for (const char* name : {"n_head_kv", "num_kv_heads"})
    if (grouped) read_field(json, name, c.num_key_value_heads);
  require(!grouped || c.use_parallel_residual,
          "falcon: new_decoder_architecture without parallel_attn is not supported");
  c.num_ln_in_parallel_attn = grouped ? 2 : 1;
  if (grouped) read_field(json, "num_ln_in_parallel_attn", c.num_ln_in_parallel_attn);
  read_rope(json, c);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  bool one = c.num_key_value_heads == 1, all = c.num_key_value_heads == c.num_attention_heads;
  bool grouped = c.num_ln_in_parallel_attn == 2 || (!one && !all);
  json["hidden_size"] = c.hidden_size;
  json["num_hidden_layers"] = c.num_hidden_layers;
  json["num_attention_heads"] = c.num_attention_heads;
  json["num_kv_heads"] = c.num_key_value_heads;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["ffn_hidden_size"] = c.intermediate_size;
  json["activation"] = c.hidden_act;
  json["layer_norm_epsilon"] = c.norm_eps;
  json["hidden_dropout"] = c.resid_pdrop;
  json["attention_dropout"] = 0.0;
  json["alibi"] = c.alibi;
  json["parallel_attn"] = c.use_parallel_residual;
  json["bias"] = c.attention_bias;
  json["multi_query"] = one && !grouped;
  json["new_decoder_architecture"] = grouped;
  if (grouped) json["num_ln_in_parallel_attn"] = c.num_ln_in_parallel_attn;
  write_rope(c, json);
}

/// llama.cpp knows those without biases and with rotary positions.
void read_gguf(const GgufFile& file, ModelConfig& c) {
  c.use_parallel_residual = true;
  c.num_ln_in_parallel_attn = file.find("blk.0.attn_norm_2.weight") ? 2 : 1;
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  require(!c.alibi && c.use_parallel_residual && !c.attention_bias && c.rope_scaling.rope_type.empty(),
          "falcon: alibi, bias, rope_scaling and parallel_attn = false cannot be kept in a GGUF file");
  write_gguf_sizes(c, "falcon", GgufNorm::layer, metadata);
}

std::vector<GgufName> gguf_names() {
  return {{"transformer.word_embeddings", "token_embd"},
          {"transformer.ln_f", "output_norm"},
          {"lm_head", "output"},
          {"transformer.h.*.input_layernorm", "blk.*.attn_norm"},
          {"transformer.h.*.ln_mlp", "blk.*.attn_norm"},
          {"transformer.h.*.ln_attn", "blk.*.attn_norm_2"},
          {"transformer.h.*.self_attention.query_key_value", "blk.*.attn_qkv", row_of_interleaved_heads},
          {"transformer.h.*.self_attention.dense", "blk.*.attn_output"},
          {"transformer.h.*.mlp.dense_h_to_4h", "blk.*.ffn_up"},
          {"transformer.h.*.mlp.dense_4h_to_h", "blk.*.ffn_down"}};
}

const bool provided = provide_family(
    {.model_type = "falcon",
     .architecture = "FalconForCausalLM",
     .tensor_prefix = "transformer.",
     .complete = complete,
     .make = make,
     .read = read,
     .write = write,
     .gguf = GgufForm{.architecture = "falcon", .read = read_gguf, .write = write_gguf, .names = gguf_names()}});

}  // namespace
}  // namespace lathe
