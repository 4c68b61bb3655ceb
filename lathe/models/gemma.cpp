// Gemma 1 to 3 (Gemma Team 2024, 2025): LLaMA's form with GeGLU, a scaled embedding and norm weights around 0. Since
// Gemma 2 norms behind each part too, and layers with windows between others; Gemma 2 bends scores and logits, Gemma 3
// normalizes heads and has other positions in layers with windows.
#include <cmath>

#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/llama_form.h"
#include "lathe/ops/elementwise.h"

namespace lathe {
namespace {

/// h = hidden + norm(attention(norm(hidden))), then the same with the MLP.
class SandwichLayer : public Block {
 public:
  SandwichLayer(LayerParts parts, std::unique_ptr<Norm> behind_attention, std::unique_ptr<Norm> behind_mlp)
      : parts_(std::move(parts)), behind_attention_(std::move(behind_attention)), behind_mlp_(std::move(behind_mlp)) {}

  Tensor forward(const Tensor& hidden, Pass& pass) override {
    Tensor attended = (*parts_.attention)(parts_.attention_norm->before(hidden), pass, nullptr);
    Tensor h = add(hidden, (*behind_attention_)(attended));
    attended = Tensor();
    return add(h, (*behind_mlp_)((*parts_.mlp)(parts_.mlp_norm->before(h), pass, nullptr)));
  }
  void list(Inventory& inventory) override {
    parts_.attention_norm->list(inventory);
    parts_.attention->list(inventory);
    behind_attention_->list(inventory);
    parts_.mlp_norm->list(inventory);
    parts_.mlp->list(inventory);
    behind_mlp_->list(inventory);
  }

 private:
  LayerParts parts_;
  std::unique_ptr<Norm> behind_attention_, behind_mlp_;
};

AttentionSpec spec_of(const ModelConfig& c, int layer, Mesh& mesh) {
  AttentionSpec spec = attention_spec(c, layer, mesh);
  spec.rotary = rotary_spec(c);
  if (c.model_type == "gemma") return spec;
  spec.scale = 1 / std::sqrt(float(c.query_pre_attn_scalar));
  spec.softcap = float(c.attn_logit_softcapping);
  if (spec.window == 0 || c.rope_local_base_freq == 0) return spec;
  ModelConfig local = c;
  local.rope_theta = c.rope_local_base_freq;
  local.rope_scaling = {};
  spec.rotary = rotary_spec(local);
  return spec;
}

std::unique_ptr<Block> layer(const ModelConfig& c, const LlamaForm& form, int number, Mesh& mesh) {
  const std::string name = text("model.layers.", number);
  bool sandwich = c.model_type != "gemma";
  auto norm = [&](const char* which) { return llama_norm(c, form, name + which); };
  LayerParts parts{.layer = number,
                   .attention_norm = norm(".input_layernorm"),
                   .attention = llama_attention(c, form, number, spec_of(c, number, mesh), name, mesh),
                   .mlp_norm = norm(sandwich ? ".pre_feedforward_layernorm" : ".post_attention_layernorm"),
                   .mlp = llama_mlp(c, form, name, mesh)};
  if (!sandwich) return std::make_unique<SequentialLayer>(std::move(parts));
  return std::make_unique<SandwichLayer>(std::move(parts), norm(".post_attention_layernorm"),
                                         norm(".post_feedforward_layernorm"));
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  LlamaForm form{.qkv_bias = c.attention_bias,
                 .o_bias = c.attention_bias,
                 .head_norms = c.model_type == "gemma3_text",
                 .norm_weight_offset = 1};
  auto table = std::make_unique<TokenTable>("model.embed_tokens.weight", c.vocab_size, c.hidden_size,
                                            Init::normal(float(c.initializer_range)));
  TokenTable& tokens = *table;
  HeadOptions head{.norm = llama_norm(c, form, "model.norm"), .softcap = float(c.final_logit_softcapping)};
  return make_decoder(
      c, std::move(table), std::make_unique<TokenEmbedding>(tokens, std::sqrt(float(c.hidden_size))),
      [&](int number) { return layer(c, form, number, mesh); }, make_decoder_head(c, tokens, std::move(head), mesh));
}

void complete(ModelConfig& c) {
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 8192;
  if (c.norm_eps == 0) c.norm_eps = 1e-6;
  if (c.hidden_act.empty()) c.hidden_act = "gelu_pytorch_tanh";
  if (c.query_pre_attn_scalar == 0) c.query_pre_attn_scalar = double(c.head_dim);
  complete_llama_form(c);
  require(!c.mlp_bias, c.model_type, ": mlp_bias must be false");
}

/// Every `period`th layer sees everything, others the last `window` tokens.
void alternate(ModelConfig& c, int64_t window, int64_t period) {
  if (c.sliding_window == 0) c.sliding_window = window;
  if (!c.layer_types.empty()) return;
  require_few_layers(c);
  for (int64_t layer = 1; layer <= c.num_hidden_layers; ++layer)
    c.layer_types.push_back(layer % period == 0 ? "full_attention" : "sliding_attention");
}

void complete_gemma(ModelConfig& c) {
  complete(c);
  require(c.sliding_window == 0 && c.attn_logit_softcapping == 0 && c.final_logit_softcapping == 0,
          "gemma: sliding_window, attn_logit_softcapping and final_logit_softcapping must be 0; gemma2 has them");
}

void complete_gemma2(ModelConfig& c) {
  complete(c);
  alternate(c, 4096, 2);
}

void complete_gemma3(ModelConfig& c) {
  if (c.rope_theta == 0) c.rope_theta = 1e6;
  if (c.rope_local_base_freq == 0) c.rope_local_base_freq = 1e4;
  complete(c);
  alternate(c, 512, 6);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.num_key_value_heads = 4;
  c.num_attention_heads = 8;
  c.hidden_size = 2304;
  c.intermediate_size = 9216;
  c.num_hidden_layers = 26;
  c.head_dim = 256;
  c.max_position_embeddings = 8192;
  c.norm_eps = 1e-6;
  c.tie_word_embeddings = true;
  c.query_pre_attn_scalar = 256;
  if (c.model_type == "gemma3_text") {
    c.rope_theta = 1e6;
    c.max_position_embeddings = 131072;
  }
  c.vocab_size = c.model_type == "gemma3_text" ? 262208 : 256000;
  nlohmann::json fields = json;
  auto rope = json.find("rope_parameters");
  bool nested = rope != json.end() && rope->is_object() && rope->contains("full_attention");
  if (nested) fields.erase("rope_parameters");
  read_llama_fields(fields, c);
  if (nested) read_rope_object(rope->at("full_attention"), "rope_parameters.full_attention", c);
  read_field(json, "attention_bias", c.attention_bias);
  read_field(json, "hidden_activation", c.hidden_act);
  if (c.hidden_act.empty() || c.hidden_act == "gelu") c.hidden_act = "gelu_pytorch_tanh";  // as it always was meant
  require_field(json, c, "use_bidirectional_attention", false);
}

void read_gemma(const nlohmann::json& json, ModelConfig& c) {
  read(json, c);
  if (!json.contains("hidden_size")) c.hidden_size = 3072;
  if (!json.contains("intermediate_size")) c.intermediate_size = 24576;
  if (!json.contains("num_hidden_layers")) c.num_hidden_layers = 28;
  if (!json.contains("num_attention_heads")) c.num_attention_heads = 16;
  if (!json.contains("num_key_value_heads")) c.num_key_value_heads = 16;
}

void read_gemma2(const nlohmann::json& json, ModelConfig& c) {
  read(json, c);
  c.sliding_window = 4096;
  read_field(json, "query_pre_attn_scalar", c.query_pre_attn_scalar);
  bool two = c.model_type == "gemma2";
  if (two && !json.contains("attn_logit_softcapping")) c.attn_logit_softcapping = 50;
  if (two && !json.contains("final_logit_softcapping")) c.final_logit_softcapping = 30;
  read_field(json, "attn_logit_softcapping", c.attn_logit_softcapping);
  read_field(json, "final_logit_softcapping", c.final_logit_softcapping);
  read_windows(json, c);
}

void read_gemma3(const nlohmann::json& json, ModelConfig& c) {
  read_gemma2(json, c);
  c.rope_local_base_freq = 1e4;
  read_field(json, "rope_local_base_freq", c.rope_local_base_freq);
  auto rope = json.find("rope_parameters");
  if (rope != json.end() && rope->is_object() && rope->contains("sliding_attention")) {
    ModelConfig local = c;
    read_rope_object(rope->at("sliding_attention"), "rope_parameters.sliding_attention", local);
    require(local.rope_scaling.rope_type.empty(), "gemma3_text: rope_parameters.sliding_attention is scaled; only ",
            "full_attention can be");
    c.rope_local_base_freq = local.rope_theta;
  }
  int64_t period = 6;
  read_field(json, "sliding_window_pattern", period);
  require(period > 0, "gemma3_text: sliding_window_pattern ", period, " must be positive");
  alternate(c, 512, period);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  write_llama_fields(c, json);
  json["hidden_activation"] = c.hidden_act;
  json["attention_bias"] = c.attention_bias;
}

nlohmann::json or_null(double value) { return value > 0 ? nlohmann::json(value) : nlohmann::json(nullptr); }

void write_gemma2(const ModelConfig& c, nlohmann::json& json) {
  write(c, json);
  write_windows(c, json);
  bool whole = c.query_pre_attn_scalar == std::floor(c.query_pre_attn_scalar);  // transformers insists
  json["query_pre_attn_scalar"] =
      whole ? nlohmann::json(int64_t(c.query_pre_attn_scalar)) : nlohmann::json(c.query_pre_attn_scalar);
  json["attn_logit_softcapping"] = or_null(c.attn_logit_softcapping);
  json["final_logit_softcapping"] = or_null(c.final_logit_softcapping);
}

void write_gemma3(const ModelConfig& c, nlohmann::json& json) {
  write_gemma2(c, json);
  json["rope_local_base_freq"] = c.rope_local_base_freq;
}

/// GGUF files hold norm weights with 1 added, and the norms of Gemma 2 and 3 by other names.
std::vector<GgufName> gguf_names(bool sandwich) {
  std::vector<GgufName> names = llama_gguf_names();
  if (sandwich) {
    for (GgufName& name : names)
      if (name.file == "blk.*.ffn_norm") name.model = "model.layers.*.pre_feedforward_layernorm";
    names.push_back({"model.layers.*.post_attention_layernorm", "blk.*.post_attention_norm"});
    names.push_back({"model.layers.*.post_feedforward_layernorm", "blk.*.post_ffw_norm"});
    names.push_back({"model.layers.*.self_attn.q_norm", "blk.*.attn_q_norm"});
    names.push_back({"model.layers.*.self_attn.k_norm", "blk.*.attn_k_norm"});
  }
  for (GgufName& name : names)
    if (name.file.ends_with("norm")) name.add = -1;
  return names;
}

void read_gemma_gguf(const GgufFile&, ModelConfig& c) { c.rope_theta = 10000; }

/// Newer files may say which layers have a window: every n-th has none, or a bool for each.
void read_pattern(const GgufFile& file, const std::string& key, ModelConfig& c) {
  const GgufValue* value = file.fields().find(key);
  if (!value) return;
  if (value->type != GgufType::array) {
    int64_t period = file.fields().integer(key);
    require(period > 0, file.fields().place(key), " = ", period, " must be positive");
    return alternate(c, c.sliding_window, period);
  }
  require(value->element == GgufType::boolean && value->count == c.num_hidden_layers, file.fields().place(key),
          " must have a bool for each of ", c.num_hidden_layers, " layers");
  for (std::byte windowed : value->bytes)
    c.layer_types.push_back(windowed == std::byte{0} ? "full_attention" : "sliding_attention");
}

/// llama.cpp scales the scores of 27B models by another number, which files do not say.
void read_scale(const GgufFile& file, ModelConfig& c) {
  const GgufFields& fields = file.fields();
  const std::string of = fields.string("general.architecture") + ".";
  bool largest = c.model_type == "gemma2" ? c.num_hidden_layers == 46 : c.num_hidden_layers == 62;
  if (largest && c.num_attention_heads > 0) c.query_pre_attn_scalar = double(c.hidden_size / c.num_attention_heads);
  c.attn_logit_softcapping = fields.number(of + "attn_logit_softcapping", 0);
  c.final_logit_softcapping = fields.number(of + "final_logit_softcapping", 0);
  c.sliding_window = fields.integer(of + "attention.sliding_window", 0);
  read_pattern(file, of + "attention.sliding_window_pattern", c);
}

void read_gemma2_gguf(const GgufFile& file, ModelConfig& c) {
  read_gemma_gguf(file, c);
  read_scale(file, c);
}

void read_gemma3_gguf(const GgufFile& file, ModelConfig& c) {
  read_scale(file, c);
  c.rope_local_base_freq = file.fields().number("gemma3.rope.freq_base_swa", 1e4);
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  const std::string name = c.model_type == "gemma3_text" ? "gemma3" : c.model_type;
  require(c.tie_word_embeddings && !c.attention_bias, c.model_type,
          ": a head of its own and attention_bias cannot be kept in a GGUF file");
  write_llama_gguf_sizes(c, name, metadata);
  if (c.model_type == "gemma") return;
  ModelConfig usual = c;
  usual.layer_types.clear();
  alternate(usual, 4096, c.model_type == "gemma2" ? 2 : 6);
  require(usual.layer_types == c.layer_types, c.model_type, ": these layer_types cannot be kept in a GGUF file");
  bool largest = c.num_hidden_layers == (c.model_type == "gemma2" ? 46 : 62);
  double scalar = double(largest ? c.hidden_size / c.num_attention_heads : c.head_dim);
  require(c.query_pre_attn_scalar == scalar, c.model_type, ": query_pre_attn_scalar ", c.query_pre_attn_scalar,
          " cannot be kept in a GGUF file; with these sizes llama.cpp takes ", scalar);
  metadata.set_u32(name + ".attention.sliding_window", c.sliding_window);
  if (c.attn_logit_softcapping > 0) metadata.set_f32(name + ".attn_logit_softcapping", c.attn_logit_softcapping);
  if (c.final_logit_softcapping > 0) metadata.set_f32(name + ".final_logit_softcapping", c.final_logit_softcapping);
  if (c.model_type == "gemma3_text") metadata.set_f32(name + ".rope.freq_base_swa", c.rope_local_base_freq);
}

const std::vector<std::string> kOwnKeys = {"attention.sliding_window", "attn_logit_softcapping",
                                           "final_logit_softcapping"};

const bool provided = provide_family({.model_type = "gemma",
                                      .architecture = "GemmaForCausalLM",
                                      .tensor_prefix = "model.",
                                      .complete = complete_gemma,
                                      .make = make,
                                      .read = read_gemma,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "gemma",
                                                       .read = read_gemma_gguf,
                                                       .write = write_gguf,
                                                       .names = gguf_names(false)}}) &&
                      provide_family({.model_type = "gemma2",
                                      .architecture = "Gemma2ForCausalLM",
                                      .tensor_prefix = "model.",
                                      .complete = complete_gemma2,
                                      .make = make,
                                      .read = read_gemma2,
                                      .write = write_gemma2,
                                      .gguf = GgufForm{.architecture = "gemma2",
                                                       .read = read_gemma2_gguf,
                                                       .write = write_gguf,
                                                       .names = gguf_names(true),
                                                       .keys = kOwnKeys}}) &&
                      provide_family({.model_type = "gemma3_text",
                                      .architecture = "Gemma3ForCausalLM",
                                      .tensor_prefix = "model.",
                                      .complete = complete_gemma3,
                                      .make = make,
                                      .read = read_gemma3,
                                      .write = write_gemma3,
                                      .gguf = GgufForm{.architecture = "gemma3",
                                                       .read = read_gemma3_gguf,
                                                       .write = write_gguf,
                                                       .names = gguf_names(true),
                                                       .keys = kOwnKeys}});

}  // namespace
}  // namespace lathe
