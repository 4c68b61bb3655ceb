// Qwen 2, 2.5 (Yang et al. 2024) and 3 (Yang et al. 2025): LLaMA's form. Qwen 2 has biases on queries, keys and values;
// Qwen 3 norms of their heads instead.
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/llama_form.h"

namespace lathe {
namespace {

std::unique_ptr<Model> make_qwen2(const ModelConfig& c, Mesh& mesh) {
  return make_llama_form(c, {.qkv_bias = true}, mesh);
}

std::unique_ptr<Model> make_qwen3(const ModelConfig& c, Mesh& mesh) {
  return make_llama_form(c, {.qkv_bias = c.attention_bias, .o_bias = c.attention_bias, .head_norms = true}, mesh);
}

void complete(ModelConfig& c) {
  complete_llama_form(c);
  require(!c.mlp_bias, c.model_type, ": mlp_bias must be false");
}

void complete_qwen2(ModelConfig& c) {
  complete(c);
  c.attention_bias = true;
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = 151936;
  c.hidden_size = 4096;
  c.intermediate_size = 22016;
  c.num_hidden_layers = c.num_attention_heads = 32;
  c.num_key_value_heads = json.contains("num_key_value_heads") ? 0 : 32;
  if (c.model_type == "qwen3") c.head_dim = 128;
  c.max_position_embeddings = 32768;
  c.hidden_act = "silu";
  c.norm_eps = 1e-6;
  c.rope_theta = 10000;
  read_llama_fields(json, c);
  bool windows = false;
  read_field(json, "use_sliding_window", windows);
  if (!windows) return;
  c.sliding_window = 4096;
  nlohmann::json fields = json;
  if (!fields.contains("max_window_layers")) fields["max_window_layers"] = 28;
  read_windows(fields, c);
}

void read_qwen3(const nlohmann::json& json, ModelConfig& c) {
  read(json, c);
  read_field(json, "attention_bias", c.attention_bias);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  write_llama_fields(c, json);
  write_windows(c, json);
  json["use_sliding_window"] = c.sliding_window > 0;
  if (c.sliding_window > 0 && c.layer_types.empty())
    json["layer_types"] = std::vector<std::string>(size_t(c.num_hidden_layers), "sliding_attention");
}

void write_qwen3(const ModelConfig& c, nlohmann::json& json) {
  write(c, json);
  json["attention_bias"] = c.attention_bias;
}

void write_qwen2_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  require(c.sliding_window == 0, "qwen2: a sliding_window cannot be kept in a GGUF file");
  write_llama_gguf_sizes(c, "qwen2", metadata);
}

void write_qwen3_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  require(c.sliding_window == 0 && !c.attention_bias, "qwen3: sliding_window ", c.sliding_window,
          " and attention_bias cannot be kept in a GGUF file");
  write_llama_gguf_sizes(c, "qwen3", metadata);
}

std::vector<GgufName> qwen3_gguf_names() {
  std::vector<GgufName> names = llama_gguf_names();
  names.push_back({"model.layers.*.self_attn.q_norm", "blk.*.attn_q_norm"});
  names.push_back({"model.layers.*.self_attn.k_norm", "blk.*.attn_k_norm"});
  return names;
}

const bool provided = provide_family({.model_type = "qwen2",
                                      .architecture = "Qwen2ForCausalLM",
                                      .tensor_prefix = "model.",
                                      .complete = complete_qwen2,
                                      .make = make_qwen2,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "qwen2",
                                                       .read = [](const GgufFile&, ModelConfig&) {},
                                                       .write = write_qwen2_gguf,
                                                       .names = llama_gguf_names()}}) &&
                      provide_family({.model_type = "qwen3",
                                      .architecture = "Qwen3ForCausalLM",
                                      .tensor_prefix = "model.",
                                      .complete = complete,
                                      .make = make_qwen3,
                                      .read = read_qwen3,
                                      .write = write_qwen3,
                                      .gguf = GgufForm{.architecture = "qwen3",
                                                       .read = [](const GgufFile&, ModelConfig&) {},
                                                       .write = write_qwen3_gguf,
                                                       .names = qwen3_gguf_names()}});

}  // namespace
}  // namespace lathe
