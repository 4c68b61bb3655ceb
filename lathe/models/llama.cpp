// LLaMA 1 to 3 (Touvron et al. 2023): RMSNorm before each part, rotary positions, SwiGLU, grouped queries.
#include <cmath>
#include <nlohmann/json.hpp>

#include "lathe/models/family.h"
#include "lathe/models/parts.h"
#include "lathe/ops/activation.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/rms_norm.h"

namespace lathe {
namespace {

class Norm : public Module {
 public:
  Norm(const std::string& name, const ModelConfig& c)
      : weight_({c.hidden_size}, {whole_vector(name + ".weight", c.hidden_size)}, Init::ones(), true),
        eps_(float(c.norm_eps)) {}
  Tensor operator()(const Tensor& x) const { return rms_norm(x, weight_.value, eps_); }
  void list(Inventory& inventory) override { inventory.add(weight_); }

 private:
  Parameter weight_;
  float eps_;
};

class Embedding : public Block {
 public:
  explicit Embedding(TokenTable& table) : table_(table) {}
  Tensor forward(const Tensor&, Pass& pass) override { return table_.weight->rows(pass.tokens()); }
  void list(Inventory& inventory) override { table_.list(inventory); }

 private:
  TokenTable& table_;
};

LinearOptions options(const ModelConfig& c, int64_t in, std::vector<Section> sections, bool bias, Split split,
                      Mesh& mesh) {
  return {.in = in,
          .sections = std::move(sections),
          .bias = bias,
          .transposed = false,
          .init = Init::normal(float(c.initializer_range)),
          .split = split,
          .ranks = &mesh.tensor};
}

class Layer : public Block {
 public:
  Layer(const ModelConfig& c, int layer, Mesh& mesh) : Layer(c, layer, mesh, text("model.layers.", layer)) {}

  Tensor forward(const Tensor& hidden, Pass& pass) override {
    Tensor qkv = qkv_(input_layernorm_(hidden), pass);
    qkv = reshape(qkv, {qkv.shape()[0], spec_.heads + 2 * spec_.kv_heads, spec_.head_dim});
    Tensor attended = pass.attend(layer_, qkv, spec_);
    qkv = Tensor();
    Tensor h = o_(attended, pass, &hidden);
    return down_(gated_activate(gate_up_(post_attention_layernorm_(h), pass), activation_), pass, &h);
  }

  void list(Inventory& inventory) override {
    input_layernorm_.list(inventory);
    qkv_.list(inventory);
    o_.list(inventory);
    post_attention_layernorm_.list(inventory);
    gate_up_.list(inventory);
    down_.list(inventory);
  }

 private:
  int layer_;
  Activation activation_;
  Norm input_layernorm_, post_attention_layernorm_;
  Linear qkv_, o_, gate_up_, down_;
  AttentionSpec spec_;

  Layer(const ModelConfig& c, int layer, Mesh& mesh, const std::string& name)
      : layer_(layer),
        activation_(activation_named(c.hidden_act)),
        input_layernorm_(name + ".input_layernorm", c),
        post_attention_layernorm_(name + ".post_attention_layernorm", c),
        qkv_(options(c, c.hidden_size,
                     {{name + ".self_attn.q_proj", c.num_attention_heads * c.head_dim, c.head_dim},
                      {name + ".self_attn.k_proj", c.num_key_value_heads * c.head_dim, c.head_dim},
                      {name + ".self_attn.v_proj", c.num_key_value_heads * c.head_dim, c.head_dim}},
                     c.attention_bias, Split::out, mesh)),
        o_(options(c, c.num_attention_heads * c.head_dim, {{name + ".self_attn.o_proj", c.hidden_size}},
                   c.attention_bias, Split::in, mesh)),
        gate_up_(options(c, c.hidden_size,
                         {{name + ".mlp.gate_proj", c.intermediate_size}, {name + ".mlp.up_proj", c.intermediate_size}},
                         c.mlp_bias, Split::out, mesh)),
        down_(
            options(c, c.intermediate_size, {{name + ".mlp.down_proj", c.hidden_size}}, c.mlp_bias, Split::in, mesh)) {
    spec_.heads = c.num_attention_heads / mesh.tensor.size();
    spec_.kv_heads = c.num_key_value_heads / mesh.tensor.size();
    spec_.head_dim = c.head_dim;
    spec_.scale = 1 / std::sqrt(float(c.head_dim));
    spec_.rotary.dims = c.head_dim;
    spec_.rotary.theta = float(c.rope_theta);
  }
};

class Head : public Block {
 public:
  Head(const ModelConfig& c, TokenTable& table, Mesh& mesh) : table_(table), norm_("model.norm", c) {
    if (!c.tie_word_embeddings)
      lm_head_ = std::make_unique<Linear>(
          options(c, c.hidden_size, head_sections("lm_head", c.vocab_size), false, Split::none, mesh));
  }
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish(hidden, [this, &pass](const Tensor& rows) {
      Tensor normed = norm_(rows);
      return lm_head_ ? (*lm_head_)(normed, pass) : table_.weight->multiply(normed, {});
    });
  }
  void list(Inventory& inventory) override {
    norm_.list(inventory);
    if (lm_head_)
      lm_head_->list(inventory);
    else
      table_.list(inventory);
  }

 private:
  TokenTable& table_;
  Norm norm_;
  std::unique_ptr<Linear> lm_head_;  ///< null: tied
};

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  auto model = std::make_unique<Model>();
  auto table = std::make_unique<TokenTable>("model.embed_tokens.weight", c.vocab_size, c.hidden_size,
                                            Init::normal(float(c.initializer_range)));
  model->blocks.push_back(std::make_unique<Embedding>(*table));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer)
    model->blocks.push_back(std::make_unique<Layer>(c, layer, mesh));
  model->blocks.push_back(std::make_unique<Head>(c, *table, mesh));
  model->shared.push_back(std::move(table));
  return model;
}

void complete(ModelConfig& c) {
  if (c.intermediate_size == 0) c.intermediate_size = (8 * c.hidden_size / 3 + 255) / 256 * 256;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 2048;
  if (c.norm_eps == 0) c.norm_eps = 1e-5;
  if (c.rope_theta == 0) c.rope_theta = 10000;
  if (c.hidden_act.empty()) c.hidden_act = "silu";
  require(c.head_dim % 2 == 0, "llama: head_dim ", c.head_dim, " must be even: rotary positions turn pairs");
  require(c.embd_pdrop == 0 && c.resid_pdrop == 0,
          "llama: embd_pdrop and resid_pdrop must be 0: the family has no dropout");
}

/// Files of transformers 4 have rope_scaling where positions are scaled, those of 5 always have rope_parameters.
void read_rope(const nlohmann::json& json, ModelConfig& c) {
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    auto rope = json.find(field);
    if (rope == json.end() || !rope->is_object()) continue;
    std::string type = rope->value("rope_type", rope->value("type", std::string("default")));
    require(type == "default", "llama: ", field, " of type \"", type, "\" is not supported; only \"default\" is");
    c.rope_theta = rope->value("rope_theta", c.rope_theta);
  }
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = json.value("vocab_size", int64_t{32000});
  c.hidden_size = json.value("hidden_size", int64_t{4096});
  c.intermediate_size = json.value("intermediate_size", int64_t{11008});
  c.num_hidden_layers = json.value("num_hidden_layers", int64_t{32});
  c.num_attention_heads = json.value("num_attention_heads", int64_t{32});
  c.num_key_value_heads = json.value("num_key_value_heads", c.num_attention_heads);
  c.head_dim = json.contains("head_dim") && !json.at("head_dim").is_null() ? json.at("head_dim").get<int64_t>() : 0;
  c.max_position_embeddings = json.value("max_position_embeddings", int64_t{2048});
  c.hidden_act = json.value("hidden_act", std::string("silu"));
  c.norm_eps = json.value("rms_norm_eps", 1e-6);
  c.rope_theta = json.value("rope_theta", 10000.0);
  read_rope(json, c);
  c.tie_word_embeddings = json.value("tie_word_embeddings", false);
  c.attention_bias = json.value("attention_bias", false);
  c.mlp_bias = json.value("mlp_bias", false);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  json["hidden_size"] = c.hidden_size;
  json["intermediate_size"] = c.intermediate_size;
  json["num_hidden_layers"] = c.num_hidden_layers;
  json["num_attention_heads"] = c.num_attention_heads;
  json["num_key_value_heads"] = c.num_key_value_heads;
  json["head_dim"] = c.head_dim;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["hidden_act"] = c.hidden_act;
  json["rms_norm_eps"] = c.norm_eps;
  json["rope_theta"] = c.rope_theta;
  json["attention_bias"] = c.attention_bias;
  json["mlp_bias"] = c.mlp_bias;
}

void read_gguf(const GgufFile& file, ModelConfig& c) {
  c.attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
  c.mlp_bias = file.find("blk.0.ffn_down.bias") != nullptr;
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  write_gguf_sizes(c, "llama", GgufNorm::rms, metadata);
  metadata.set_u32("llama.vocab_size", c.vocab_size);
  metadata.set_u32("llama.attention.key_length", c.head_dim);
  metadata.set_u32("llama.attention.value_length", c.head_dim);
  metadata.set_u32("llama.rope.dimension_count", c.head_dim);
  metadata.set_f32("llama.rope.freq_base", c.rope_theta);
}

std::vector<GgufName> gguf_names() {
  std::vector<GgufName> names = llama_gguf_names();
  for (GgufName& name : names)
    if (name.file == "blk.*.attn_q" || name.file == "blk.*.attn_k") name.file_row = row_of_rotary_pairs;
  return names;
}

const bool provided = provide_family(
    {.model_type = "llama",
     .architecture = "LlamaForCausalLM",
     .tensor_prefix = "model.",
     .complete = complete,
     .make = make,
     .read = read,
     .write = write,
     .gguf = GgufForm{.architecture = "llama", .read = read_gguf, .write = write_gguf, .names = gguf_names()}});

}  // namespace
}  // namespace lathe
