// Mistral (Jiang et al. 2023): LLaMA's form; in its first version each token sees a window of the last ones.
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/llama_form.h"

namespace lathe {
namespace {

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) { return make_llama_form(c, {}, mesh); }

void complete(ModelConfig& c) {
  complete_llama_form(c);
  require(!c.attention_bias && !c.mlp_bias, "mistral: attention_bias and mlp_bias must be false");
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = 32000;
  c.hidden_size = 4096;
  c.intermediate_size = 14336;
  c.num_hidden_layers = c.num_attention_heads = 32;
  c.num_key_value_heads = 8;
  c.max_position_embeddings = 4096 * 32;
  c.hidden_act = "silu";
  c.norm_eps = 1e-6;
  c.rope_theta = 10000;
  c.sliding_window = json.contains("sliding_window") ? 0 : 4096;
  read_llama_fields(json, c);
  read_windows(json, c);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  write_llama_fields(c, json);
  write_windows(c, json);
}

/// GGUF files hold Mistral as LLaMA, without a window.
void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  require(c.sliding_window == 0 || c.sliding_window >= c.max_position_embeddings, "mistral: a sliding_window of ",
          c.sliding_window, " cannot be kept in a GGUF file, whose llama architecture has none");
  write_llama_gguf(c, metadata);
}

const bool provided = provide_family({.model_type = "mistral",
                                      .architecture = "MistralForCausalLM",
                                      .tensor_prefix = "model.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "llama",
                                                       .is = [](const GgufFile&) { return false; },
                                                       .read = [](const GgufFile&, ModelConfig&) {},
                                                       .write = write_gguf,
                                                       .names = paired_llama_gguf_names(),
                                                       .config_tensors = rope_freqs}});

}  // namespace
}  // namespace lathe
