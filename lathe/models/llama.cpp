// LLaMA 1 to 3 (Touvron et al. 2023): RMSNorm before each part, rotary positions, SwiGLU, grouped queries.
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/llama_form.h"

namespace lathe {
namespace {

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  return make_llama_form(c, {.qkv_bias = c.attention_bias, .o_bias = c.attention_bias, .mlp_bias = c.mlp_bias}, mesh);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = 32000;
  c.hidden_size = 4096;
  c.intermediate_size = 11008;
  c.num_hidden_layers = c.num_attention_heads = 32;
  c.max_position_embeddings = 2048;
  c.hidden_act = "silu";
  c.norm_eps = 1e-6;
  c.rope_theta = 10000;
  read_llama_fields(json, c);
  read_field(json, "attention_bias", c.attention_bias);
  read_field(json, "mlp_bias", c.mlp_bias);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  write_llama_fields(c, json);
  json["attention_bias"] = c.attention_bias;
  json["mlp_bias"] = c.mlp_bias;
}

/// Llama 3.1's stretch of positions is in GGUF files what each pair's frequency is divided by.
void read_gguf(const GgufFile& file, ModelConfig& c) {
  c.attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
  c.mlp_bias = file.find("blk.0.ffn_down.bias") != nullptr;
  if (!file.find(kRopeFreqs)) return;
  std::vector<double> factors = gguf_numbers(file, kRopeFreqs);
  c.rope_scaling = {.rope_type = "longrope", .attention_factor = 1, .short_factor = factors, .long_factor = factors};
}

const bool provided = provide_family({.model_type = "llama",
                                      .architecture = "LlamaForCausalLM",
                                      .tensor_prefix = "model.",
                                      .complete = complete_llama_form,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "llama",
                                                       .read = read_gguf,
                                                       .write = write_llama_gguf,
                                                       .names = paired_llama_gguf_names(),
                                                       .of_config = {kRopeFreqs},
                                                       .config_tensors = rope_freqs}});

}  // namespace
}  // namespace lathe
