// GPT-2 (Radford et al. 2019): learned positions, LayerNorm before each part, GELU, biases everywhere, a tied head.
#include <cmath>
#include <nlohmann/json.hpp>

#include "lathe/models/family.h"
#include "lathe/models/parts.h"
#include "lathe/ops/activation.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/embedding.h"
#include "lathe/ops/layer_norm.h"

namespace lathe {
namespace {

class Norm : public Module {
 public:
  Norm(const std::string& name, const ModelConfig& c)
      : weight_({c.hidden_size}, {whole_vector(name + ".weight", c.hidden_size)}, Init::ones(), true),
        bias_({c.hidden_size}, {whole_vector(name + ".bias", c.hidden_size)}, Init::zeros(), true),
        eps_(float(c.norm_eps)) {}
  Tensor operator()(const Tensor& x) const { return layer_norm(x, weight_.value, bias_.value, eps_); }
  void list(Inventory& inventory) override {
    inventory.add(weight_);
    inventory.add(bias_);
  }

 private:
  Parameter weight_, bias_;
  float eps_;
};

class Embedding : public Block {
 public:
  Embedding(const ModelConfig& c, TokenTable& table)
      : table_(table),
        dropout_(float(c.embd_pdrop)),
        positions_({c.max_position_embeddings, c.hidden_size},
                   {whole_matrix("transformer.wpe.weight", c.max_position_embeddings, c.hidden_size)},
                   Init::normal(0.01f)) {}
  Tensor forward(const Tensor&, Pass& pass) override {
    Tensor tokens = table_.weight->rows(pass.tokens());
    return pass.drop(add(tokens, embedding(pass.positions(), positions_.value)), dropout_, -1, 0);
  }
  void list(Inventory& inventory) override {
    table_.list(inventory);
    inventory.add(positions_);
  }

 private:
  TokenTable& table_;
  float dropout_;
  Parameter positions_;
};

class Layer : public Block {
 public:
  Layer(const ModelConfig& c, int layer, Mesh& mesh)
      : name_(text("transformer.h.", layer)),
        layer_(layer),
        dropout_(float(c.resid_pdrop)),
        activation_(activation_named(c.hidden_act)),
        ln_1_(name_ + ".ln_1", c),
        ln_2_(name_ + ".ln_2", c),
        c_attn_(
            linear(c, ".attn.c_attn", c.hidden_size, {c.hidden_size, c.hidden_size, c.hidden_size}, Split::out, mesh)),
        c_proj_(linear(c, ".attn.c_proj", c.hidden_size, {c.hidden_size}, Split::in, mesh)),
        c_fc_(linear(c, ".mlp.c_fc", c.hidden_size, {c.intermediate_size}, Split::out, mesh)),
        mlp_c_proj_(linear(c, ".mlp.c_proj", c.intermediate_size, {c.hidden_size}, Split::in, mesh)) {
    spec_.head_dim = c.head_dim;
    spec_.heads = spec_.kv_heads = c.num_attention_heads / mesh.tensor.size();
    spec_.scale = 1 / std::sqrt(float(c.head_dim));
  }

  Tensor forward(const Tensor& hidden, Pass& pass) override {
    Tensor qkv = c_attn_(ln_1_(hidden), pass);
    qkv = reshape(qkv, {qkv.shape()[0], 3 * spec_.heads, spec_.head_dim});
    Tensor attended = pass.attend(layer_, qkv, spec_);
    qkv = Tensor();
    Tensor h = add_to_residual(c_proj_, attended, hidden, dropout_, pass, layer_, 0);
    return add_to_residual(mlp_c_proj_, activate(c_fc_(ln_2_(h), pass), activation_), h, dropout_, pass, layer_, 1);
  }

  void list(Inventory& inventory) override {
    ln_1_.list(inventory);
    c_attn_.list(inventory);
    c_proj_.list(inventory);
    ln_2_.list(inventory);
    c_fc_.list(inventory);
    mlp_c_proj_.list(inventory);
  }

 private:
  std::string name_;
  int layer_;
  float dropout_;
  Activation activation_;
  Norm ln_1_, ln_2_;
  Linear c_attn_, c_proj_, c_fc_, mlp_c_proj_;
  AttentionSpec spec_;

  /// Projections that end in the residual start smaller, by the root of how many there are (section 2.3 of the paper).
  Linear linear(const ModelConfig& c, const char* part, int64_t in, const std::vector<int64_t>& outs, Split split,
                Mesh& mesh) {
    float scale = split == Split::in ? 1 / std::sqrt(2 * float(c.num_hidden_layers)) : 1;
    LinearOptions options{.in = in,
                          .sections = {},
                          .bias = true,
                          .transposed = true,
                          .init = Init::normal(float(c.initializer_range) * scale),
                          .split = split,
                          .ranks = &mesh.tensor};
    for (int64_t out : outs) options.sections.push_back({name_ + part, out, outs.size() == 3 ? c.head_dim : 1});
    return Linear(options);
  }
};

class Head : public Block {
 public:
  Head(const ModelConfig& c, TokenTable& table) : table_(table), ln_f_("transformer.ln_f", c) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish(hidden, [this](const Tensor& rows) { return table_.weight->multiply(ln_f_(rows), {}); });
  }
  void list(Inventory& inventory) override {
    ln_f_.list(inventory);
    table_.list(inventory);
  }

 private:
  TokenTable& table_;
  Norm ln_f_;
};

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  auto model = std::make_unique<Model>();
  auto table = std::make_unique<TokenTable>("transformer.wte.weight", c.vocab_size, c.hidden_size,
                                            Init::normal(float(c.initializer_range)));
  model->blocks.push_back(std::make_unique<Embedding>(c, *table));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer)
    model->blocks.push_back(std::make_unique<Layer>(c, layer, mesh));
  model->blocks.push_back(std::make_unique<Head>(c, *table));
  model->shared.push_back(std::move(table));
  return model;
}

void complete(ModelConfig& c) {
  if (c.intermediate_size == 0) c.intermediate_size = 4 * c.hidden_size;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 1024;
  if (c.norm_eps == 0) c.norm_eps = 1e-5;
  if (c.hidden_act.empty()) c.hidden_act = "gelu_new";
  c.tie_word_embeddings = c.attention_bias = c.mlp_bias = true;
  require(c.num_key_value_heads == c.num_attention_heads, "gpt2: num_key_value_heads ", c.num_key_value_heads,
          " must equal num_attention_heads ", c.num_attention_heads, "; llama has grouped queries");
  require(c.head_dim * c.num_attention_heads == c.hidden_size, "gpt2: head_dim ", c.head_dim, " x num_attention_heads ",
          c.num_attention_heads, " must be hidden_size ", c.hidden_size);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = json.value("vocab_size", int64_t{50257});
  c.hidden_size = json.value("n_embd", int64_t{768});
  c.num_hidden_layers = json.value("n_layer", int64_t{12});
  c.num_attention_heads = json.value("n_head", int64_t{12});
  c.max_position_embeddings = json.value("n_positions", int64_t{1024});
  if (json.contains("n_inner") && !json.at("n_inner").is_null())
    c.intermediate_size = json.at("n_inner").get<int64_t>();
  c.hidden_act = json.value("activation_function", std::string("gelu_new"));
  c.norm_eps = json.value("layer_norm_epsilon", 1e-5);
  c.embd_pdrop = json.value("embd_pdrop", 0.1);
  c.resid_pdrop = json.value("resid_pdrop", 0.1);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  json["n_embd"] = c.hidden_size;
  json["n_layer"] = c.num_hidden_layers;
  json["n_head"] = c.num_attention_heads;
  json["n_positions"] = c.max_position_embeddings;
  json["n_ctx"] = c.max_position_embeddings;
  json["n_inner"] = c.intermediate_size;
  json["activation_function"] = c.hidden_act;
  json["layer_norm_epsilon"] = c.norm_eps;
  json["embd_pdrop"] = c.embd_pdrop;
  json["resid_pdrop"] = c.resid_pdrop;
  json["attn_pdrop"] = 0.0;
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  write_gguf_sizes(c, "gpt2", GgufNorm::layer, metadata);
}

std::vector<GgufName> gguf_names() {
  return {{"transformer.wte", "token_embd"},
          {"transformer.wpe", "position_embd"},
          {"transformer.wte", "output"},  // some files hold it twice
          {"transformer.ln_f", "output_norm"},
          {"transformer.h.*.ln_1", "blk.*.attn_norm"},
          {"transformer.h.*.attn.c_attn", "blk.*.attn_qkv"},
          {"transformer.h.*.attn.c_proj", "blk.*.attn_output"},
          {"transformer.h.*.ln_2", "blk.*.ffn_norm"},
          {"transformer.h.*.mlp.c_fc", "blk.*.ffn_up"},
          {"transformer.h.*.mlp.c_proj", "blk.*.ffn_down"}};
}

const bool provided = provide_family({.model_type = "gpt2",
                                      .architecture = "GPT2LMHeadModel",
                                      .tensor_prefix = "transformer.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "gpt2",
                                                       .read = [](const GgufFile&, ModelConfig&) {},
                                                       .write = write_gguf,
                                                       .names = gguf_names()}});

}  // namespace
}  // namespace lathe
