#include "lathe/models/llama_form.h"

#include "lathe/models/config_json.h"

namespace lathe {

std::unique_ptr<Part> llama_attention(const ModelConfig& c, const LlamaForm& form, int layer, AttentionSpec spec,
                                      const std::string& name, Mesh& mesh) {
  const std::string part = name + ".self_attn.", fused = part + "qkv_proj";
  std::vector<Section> sections = form.fused_projections
                                      ? query_key_value(c, fused, fused, fused)
                                      : query_key_value(c, part + "q_proj", part + "k_proj", part + "v_proj");
  return std::make_unique<SelfAttention>(AttentionOptions{
      .layer = layer,
      .spec = std::move(spec),
      .qkv = projection(c, c.hidden_size, std::move(sections), form.qkv_bias, Split::out, mesh),
      .o = projection(c, c.num_attention_heads * c.head_dim, {{part + "o_proj", c.hidden_size}}, form.o_bias, Split::in,
                      mesh),
      .head_norms = form.head_norms
                        ? std::make_unique<HeadNormWeights>(c, name + ".self_attn", form.norm_weight_offset, mesh)
                        : nullptr});
}

std::unique_ptr<Part> llama_mlp(const ModelConfig& c, const LlamaForm& form, const std::string& name, Mesh& mesh) {
  const std::string part = name + ".mlp.", gate = part + (form.fused_projections ? "gate_up_proj" : "gate_proj"),
                    up = part + (form.fused_projections ? "gate_up_proj" : "up_proj");
  return std::make_unique<GatedMlp>(
      c.hidden_act,
      projection(c, c.hidden_size, {{gate, c.intermediate_size}, {up, c.intermediate_size}}, form.mlp_bias, Split::out,
                 mesh),
      projection(c, c.intermediate_size, {{part + "down_proj", c.hidden_size}}, form.mlp_bias, Split::in, mesh));
}

std::unique_ptr<Norm> llama_norm(const ModelConfig& c, const LlamaForm& form, const std::string& name) {
  return std::make_unique<RmsNorm>(name, c.hidden_size, c.norm_eps, form.norm_weight_offset);
}

std::unique_ptr<Model> make_llama_form(const ModelConfig& c, const LlamaForm& form, Mesh& mesh) {
  auto table = std::make_unique<TokenTable>("model.embed_tokens.weight", c.vocab_size, c.hidden_size,
                                            Init::normal(float(c.initializer_range)));
  auto layer = [&](int number) -> std::unique_ptr<Block> {
    const std::string name = text("model.layers.", number);
    AttentionSpec spec = attention_spec(c, number, mesh);
    spec.rotary = rotary_spec(c);
    return std::make_unique<SequentialLayer>(
        LayerParts{.layer = number,
                   .attention_norm = llama_norm(c, form, name + ".input_layernorm"),
                   .attention = llama_attention(c, form, number, spec, name, mesh),
                   .mlp_norm = llama_norm(c, form, name + ".post_attention_layernorm"),
                   .mlp = form.mlp ? form.mlp(name) : llama_mlp(c, form, name, mesh)});
  };
  TokenTable& tokens = *table;
  return make_decoder(c, std::move(table), std::make_unique<TokenEmbedding>(tokens), layer,
                      make_decoder_head(c, tokens, HeadOptions{.norm = llama_norm(c, form, "model.norm")}, mesh));
}

void write_llama_gguf_sizes(const ModelConfig& c, const std::string& architecture, GgufMetadata& metadata) {
  const std::string of = architecture + ".";
  const RopeScaling& s = c.rope_scaling;
  bool plain_yarn = s.rope_type == "yarn" && s.attention_factor == 0 && s.beta_fast == 32 && s.beta_slow == 1;
  require(s.rope_type.empty() || s.rope_type == "linear" || plain_yarn, c.model_type, ": this rope_scaling of type ",
          s.rope_type, " cannot be kept in a GGUF file");
  write_gguf_sizes(c, architecture, GgufNorm::rms, metadata);
  metadata.set_u32(of + "vocab_size", c.vocab_size);
  metadata.set_u32(of + "attention.key_length", c.head_dim);
  metadata.set_u32(of + "attention.value_length", c.head_dim);
  metadata.set_u32(of + "rope.dimension_count", rotary_spec(c).dims);
  metadata.set_f32(of + "rope.freq_base", c.rope_theta);
  if (s.rope_type.empty()) return;
  metadata.set_string(of + "rope.scaling.type", s.rope_type);
  metadata.set_f32(of + "rope.scaling.factor", s.factor);
  metadata.set_u32(of + "rope.scaling.original_context_length", s.original_max_position_embeddings);
}

/// Without the tensors of factors.
static ModelConfig without_factors(ModelConfig c) {
  const RopeScaling& s = c.rope_scaling;
  bool one_list = s.rope_type == "longrope" && s.attention_factor == 1 && s.short_factor == s.long_factor;
  if (s.rope_type == "llama3" || one_list) c.rope_scaling = {};
  return c;
}

void write_llama_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  write_llama_gguf_sizes(without_factors(c), "llama", metadata);
}

std::vector<GgufTensorSource> rope_freqs(const ModelConfig& c) {
  if (c.rope_scaling.rope_type != "llama3" && c.rope_scaling.rope_type != "longrope") return {};
  RotarySpec plain = rotary_spec(without_factors(c)), scaled = rotary_spec(c);
  std::vector<double> factors;
  for (int64_t pair = 0; pair < plain.dims / 2; ++pair)
    factors.push_back(rotary_frequency(plain, pair) / rotary_frequency(scaled, pair));
  return {gguf_source(kRopeFreqs, factors)};
}

std::vector<GgufName> paired_llama_gguf_names() {
  std::vector<GgufName> names = llama_gguf_names();
  for (GgufName& name : names)
    if (name.file == "blk.*.attn_q" || name.file == "blk.*.attn_k") name.file_row = row_of_rotary_pairs;
  return names;
}

void complete_llama_form(ModelConfig& c) {
  if (c.intermediate_size == 0) c.intermediate_size = (8 * c.hidden_size / 3 + 255) / 256 * 256;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 2048;
  if (c.norm_eps == 0) c.norm_eps = 1e-5;
  if (c.rope_theta == 0) c.rope_theta = 10000;
  if (c.hidden_act.empty()) c.hidden_act = "silu";
  require(c.head_dim % 2 == 0, c.model_type, ": head_dim ", c.head_dim, " must be even: rotary positions turn pairs");
  require(c.embd_pdrop == 0 && c.resid_pdrop == 0, c.model_type,
          ": embd_pdrop and resid_pdrop must be 0: the family has no dropout");
  rotary_spec(c);
}

}  // namespace lathe
