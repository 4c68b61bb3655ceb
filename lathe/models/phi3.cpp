// Phi-3 (Abdin et al. 2024): LLaMA's form with projections that are one tensor in files, and LongRoPE.
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/llama_form.h"

namespace lathe {
namespace {

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  return make_llama_form(c, {.fused_projections = true}, mesh);
}

void complete(ModelConfig& c) {
  complete_llama_form(c);
  require(!c.attention_bias && !c.mlp_bias, "phi3: attention_bias and mlp_bias must be false");
}

/// Files may give the original length beside rope_scaling, and say "yarn" or "su" for what became longrope.
void state_rope(nlohmann::json& json, const char* field) {
  auto rope = json.find(field);
  if (rope == json.end() || !rope->is_object()) return;
  std::string type = field_or(*rope, "rope_type", field_or(*rope, "type", std::string("default")));
  if (type == "default") return;
  if (type == "yarn" || type == "su") rope->erase("rope_type"), (*rope)["type"] = "longrope";
  bool beside =
      json.contains("original_max_position_embeddings") && !rope->contains("original_max_position_embeddings");
  if (beside) (*rope)["original_max_position_embeddings"] = json["original_max_position_embeddings"];
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = 32064;
  c.hidden_size = 3072;
  c.intermediate_size = 8192;
  c.num_hidden_layers = c.num_attention_heads = 32;
  c.max_position_embeddings = 4096;
  c.hidden_act = "silu";
  c.norm_eps = 1e-5;
  c.rope_theta = 10000;
  nlohmann::json fields = json;
  for (const char* field : {"rope_scaling", "rope_parameters"}) state_rope(fields, field);
  read_llama_fields(fields, c);
  read_windows(json, c);
  require_field(json, c, "resid_pdrop", 0.0);
  require_field(json, c, "embd_pdrop", 0.0);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  write_llama_fields(c, json);
  write_windows(c, json);
  if (c.rope_scaling.rope_type.empty()) return;
  json["original_max_position_embeddings"] = c.rope_scaling.original_max_position_embeddings;
}

constexpr const char *kShortFactors = "rope_factors_short.weight", *kLongFactors = "rope_factors_long.weight";

void read_gguf(const GgufFile& file, ModelConfig& c) {
  const GgufFields& fields = file.fields();
  c.sliding_window = fields.integer("phi3.attention.sliding_window", 0);
  int64_t head_dim = c.num_attention_heads > 0 ? c.hidden_size / c.num_attention_heads : 0;
  if (head_dim > 0)
    c.partial_rotary_factor = double(fields.integer("phi3.rope.dimension_count", head_dim)) / double(head_dim);
  if (!file.find(kShortFactors)) return;
  c.rope_scaling.rope_type = "longrope";
  c.rope_scaling.short_factor = gguf_numbers(file, kShortFactors);
  c.rope_scaling.long_factor = gguf_numbers(file, kLongFactors);
  c.rope_scaling.factor =
      double(c.max_position_embeddings) / double(std::max<int64_t>(c.rope_scaling.original_max_position_embeddings, 1));
  c.rope_scaling.attention_factor = fields.number("phi3.rope.scaling.attn_factor", 0);
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  require(c.layer_types.empty(), "phi3: layer_types cannot be kept in a GGUF file");
  ModelConfig plain = c;
  const bool longrope = c.rope_scaling.rope_type == "longrope";
  if (longrope) plain.rope_scaling = {};
  write_llama_gguf_sizes(plain, "phi3", metadata);
  if (c.sliding_window > 0) metadata.set_u32("phi3.attention.sliding_window", c.sliding_window);
  if (!longrope) return;
  metadata.set_u32("phi3.rope.scaling.original_context_length", rotary_spec(c).original_max_position_embeddings);
  metadata.set_f32("phi3.rope.scaling.attn_factor", rotary_magnitude(rotary_spec(c)));
}

std::vector<GgufTensorSource> factors(const ModelConfig& c) {
  const RopeScaling& s = c.rope_scaling;
  if (s.rope_type != "longrope") return {};
  return {gguf_source(kShortFactors, s.short_factor), gguf_source(kLongFactors, s.long_factor)};
}

std::vector<GgufName> gguf_names() {
  std::vector<GgufName> names = llama_gguf_names();
  names.push_back({"model.layers.*.self_attn.qkv_proj", "blk.*.attn_qkv"});
  for (GgufName& name : names)
    if (name.file == "blk.*.ffn_up") name.model = "model.layers.*.mlp.gate_up_proj";
  return names;
}

const bool provided = provide_family({.model_type = "phi3",
                                      .architecture = "Phi3ForCausalLM",
                                      .tensor_prefix = "model.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "phi3",
                                                       .read = read_gguf,
                                                       .write = write_gguf,
                                                       .names = gguf_names(),
                                                       .of_config = {kShortFactors, kLongFactors},
                                                       .config_tensors = factors,
                                                       .keys = {"attention.sliding_window", "rope.dimension_count"}}});

}  // namespace
}  // namespace lathe
