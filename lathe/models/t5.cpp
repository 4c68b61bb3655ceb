// T5 (Raffel et al. 2020) and what grew from it, T5 1.1, Flan-T5, mT5: an encoder-decoder with RMSNorm before each
// part, no biases, and positions only as a bias by distance, which the layers of a stack share.
#include <cmath>

#include "lathe/models/config_json.h"
#include "lathe/models/cross_attention.h"
#include "lathe/models/family.h"
#include "lathe/models/norm.h"
#include "lathe/models/parts.h"
#include "lathe/models/task.h"
#include "lathe/ops/activation.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/relative_bias.h"

namespace lathe {
namespace {

/// Positions are relative and nothing ends them: this bounds memory alone.
constexpr int64_t kLongest = 32768;

Init deviation(double inputs) { return Init::normal(float(1 / std::sqrt(inputs))); }
/// Scores are not scaled: queries and keys share what would be, so that new scores have the paper's variance.
Init of_attention(const ModelConfig& c) { return deviation(double(c.hidden_size) * std::sqrt(double(c.head_dim))); }

LinearOptions options(int64_t in, std::vector<Section> sections, Init init, Split split, Mesh& mesh) {
  return {.in = in,
          .sections = std::move(sections),
          .bias = false,
          .transposed = false,
          .init = init,
          .split = split,
          .ranks = &mesh.tensor};
}

/// hidden + dropout(linear(x)).
Tensor add_product(const Linear& linear, const Tensor& x, const Tensor& hidden, float dropout, Pass& pass, int layer,
                   int use) {
  if (dropout == 0 || !pass.drops()) return linear(x, pass, &hidden);
  return add(hidden, pass.drop(linear(x, pass), dropout, layer, use));
}

/// One stack's table of biases by distance; this rank's heads of it.
class PositionBias : public Module {
 public:
  PositionBias(const ModelConfig& c, const std::string& stack, bool both_ways, Mesh& mesh)
      : buckets(c.relative_attention_num_buckets, c.relative_attention_max_distance, both_ways),
        table_({c.relative_attention_num_buckets, c.num_attention_heads / mesh.tensor.size()},
               {heads_of(c, stack + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight", mesh)},
               deviation(double(c.hidden_size)), true) {}
  Tensor operator()() const { return relative_bias(table_.value, buckets); }
  void list(Inventory& inventory) override { inventory.add(table_); }

  const RelativeBuckets buckets;

 private:
  Parameter table_;

  static Slice heads_of(const ModelConfig& c, const std::string& name, Mesh& mesh) {
    Slice slice = whole_matrix(name, c.relative_attention_num_buckets, c.num_attention_heads);
    slice.columns /= mesh.tensor.size();
    slice.first_column = slice.columns * mesh.tensor.rank();
    return slice;
  }
};

class Embedding : public Block {
 public:
  Embedding(const ModelConfig& c, TokenTable& table) : table_(table), dropout_(float(c.embd_pdrop)) {}
  Tensor forward(const Tensor&, Pass& pass) override {
    return pass.drop(table_.weight->rows(pass.tokens()), dropout_, -1, 0);
  }
  void list(Inventory& inventory) override { table_.list(inventory); }

 private:
  TokenTable& table_;
  float dropout_;
};

AttentionSpec spec_of(const ModelConfig& c, Mesh& mesh) {
  AttentionSpec spec;
  spec.heads = spec.kv_heads = c.num_attention_heads / mesh.tensor.size();
  spec.head_dim = c.head_dim;
  spec.scale = 1;
  return spec;
}

/// hidden + attention(norm(hidden)) within a text.
class BiasedAttention : public Module {
 public:
  BiasedAttention(const ModelConfig& c, const std::string& name, int layer, PositionBias& bias, Mesh& mesh)
      : layer_(layer),
        dropout_(float(c.resid_pdrop)),
        bias_(bias),
        norm_(name + ".layer_norm", c.hidden_size, c.norm_eps),
        qkv_(options(c.hidden_size,
                     {{name + ".SelfAttention.q", c.num_attention_heads * c.head_dim, c.head_dim},
                      {name + ".SelfAttention.k", c.num_attention_heads * c.head_dim, c.head_dim},
                      {name + ".SelfAttention.v", c.num_attention_heads * c.head_dim, c.head_dim}},
                     of_attention(c), Split::out, mesh)),
        o_(options(c.num_attention_heads * c.head_dim, {{name + ".SelfAttention.o", c.hidden_size}},
                   deviation(double(c.num_attention_heads * c.head_dim)), Split::in, mesh)),
        spec_(spec_of(c, mesh)) {
    spec_.causal = !bias.buckets.both_ways;
    spec_.bias_zero = bias.buckets.zero();
  }
  Tensor operator()(const Tensor& hidden, Pass& pass) const {
    Tensor qkv = qkv_(norm_(hidden), pass);
    qkv = reshape(qkv, {qkv.shape()[0], 3 * spec_.heads, spec_.head_dim});
    AttentionSpec spec = spec_;
    spec.bias = bias_();
    Tensor attended = pass.attend(layer_, qkv, spec);
    qkv = Tensor();
    return add_product(o_, attended, hidden, dropout_, pass, layer_, 0);
  }
  void list(Inventory& inventory) override {
    norm_.list(inventory);
    qkv_.list(inventory);
    bias_.list(inventory);
    o_.list(inventory);
  }

 private:
  int layer_;
  float dropout_;
  PositionBias& bias_;
  RmsNorm norm_;
  Linear qkv_, o_;
  AttentionSpec spec_;
};

/// hidden + mlp(norm(hidden)), gated since T5 1.1.
class FeedForward : public Module {
 public:
  FeedForward(const ModelConfig& c, const std::string& name, int layer, Mesh& mesh)
      : layer_(layer),
        gated_(c.gated_mlp),
        dropout_(float(c.resid_pdrop)),
        activation_(activation_named(c.hidden_act)),
        norm_(name + ".layer_norm", c.hidden_size, c.norm_eps),
        up_(options(c.hidden_size, sections(c, name + ".DenseReluDense.wi"), deviation(double(c.hidden_size)),
                    Split::out, mesh)),
        down_(options(c.intermediate_size, {{name + ".DenseReluDense.wo", c.hidden_size}},
                      deviation(double(c.intermediate_size)), Split::in, mesh)) {}
  Tensor operator()(const Tensor& hidden, Pass& pass) const {
    Tensor wide = gated_ ? gated_activate(up_(norm_(hidden), pass), activation_)
                         : up_.activated(norm_(hidden), pass, activation_);
    return add_product(down_, pass.drop(wide, dropout_, layer_, 2), hidden, dropout_, pass, layer_, 3);
  }
  void list(Inventory& inventory) override {
    norm_.list(inventory);
    up_.list(inventory);
    down_.list(inventory);
  }

 private:
  int layer_;
  bool gated_;
  float dropout_;
  Activation activation_;
  RmsNorm norm_;
  Linear up_, down_;

  static std::vector<Section> sections(const ModelConfig& c, const std::string& name) {
    if (!c.gated_mlp) return {{name, c.intermediate_size}};
    return {{name + "_0", c.intermediate_size}, {name + "_1", c.intermediate_size}};
  }
};

class EncoderLayer : public Block {
 public:
  EncoderLayer(const ModelConfig& c, int layer, PositionBias& bias, Mesh& mesh)
      : attention_(c, text("encoder.block.", layer, ".layer.0"), layer, bias, mesh),
        mlp_(c, text("encoder.block.", layer, ".layer.1"), layer, mesh) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override { return mlp_(attention_(hidden, pass), pass); }
  void list(Inventory& inventory) override {
    attention_.list(inventory);
    mlp_.list(inventory);
  }

 private:
  BiasedAttention attention_;
  FeedForward mlp_;
};

class DecoderLayer : public Block {
 public:
  DecoderLayer(const ModelConfig& c, int layer, PositionBias& bias, Mesh& mesh)
      : DecoderLayer(c, layer, bias, mesh, text("decoder.block.", layer, ".layer.")) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    Tensor h = attention_(hidden, pass);
    return mlp_(add_to_residual(memory_, memory_norm_(h), h, dropout_, pass, layer_, 1), pass);
  }
  void list(Inventory& inventory) override {
    attention_.list(inventory);
    memory_norm_.list(inventory);
    memory_.list(inventory);
    mlp_.list(inventory);
  }

 private:
  int layer_;
  float dropout_;
  BiasedAttention attention_;
  RmsNorm memory_norm_;
  CrossAttention memory_;
  FeedForward mlp_;

  DecoderLayer(const ModelConfig& c, int layer, PositionBias& bias, Mesh& mesh, const std::string& name)
      : layer_(layer),
        dropout_(float(c.resid_pdrop)),
        attention_(c, name + "0", layer, bias, mesh),
        memory_norm_(name + "1.layer_norm", c.hidden_size, c.norm_eps),
        memory_(c, layer, attention_names(name + "1.EncDecAttention."), spec_of(c, mesh), false, of_attention(c),
                deviation(double(c.num_attention_heads * c.head_dim)), mesh),
        mlp_(c, name + "2", layer, mesh) {}

  static AttentionNames attention_names(const std::string& name) {
    return {name + "q", name + "k", name + "v", name + "o"};
  }
};

/// The encoder's last norm: its rows are the decoder's memory.
class Memory : public Block {
 public:
  explicit Memory(const ModelConfig& c)
      : dropout_(float(c.resid_pdrop)), norm_("encoder.final_layer_norm", c.hidden_size, c.norm_eps) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override { return pass.drop(norm_(hidden), dropout_, -1, 1); }
  void list(Inventory& inventory) override { norm_.list(inventory); }

 private:
  float dropout_;
  RmsNorm norm_;
};

class Head : public Block {
 public:
  Head(const ModelConfig& c, TokenTable& table, Mesh& mesh)
      : table_(table),
        scale_(c.scale_decoder_outputs ? float(1 / std::sqrt(double(c.hidden_size))) : 1),
        norm_("decoder.final_layer_norm", c.hidden_size, c.norm_eps) {
    if (!c.tie_word_embeddings)
      lm_head_.emplace(options(c.hidden_size, head_sections("lm_head", c.vocab_size), deviation(double(c.hidden_size)),
                               Split::none, mesh));
  }
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish(hidden, [this, &pass](const Tensor& rows) {
      Tensor normed = norm_(rows);
      if (scale_ != 1) normed = scale(normed, scale_);
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
  float scale_;
  RmsNorm norm_;
  std::optional<Linear> lm_head_;  ///< empty: tied
};

void require_generator(const ModelConfig& c) {
  const std::string architecture = architecture_of(c);
  Task task = task_of(c);
  bool whole = task == Task::causal_lm || (task == Task::hidden && !architecture.ends_with("EncoderModel"));
  require(whole, c.model_type, ": the head of architecture \"", architecture,
          "\" is not supported; ...ForConditionalGeneration is");
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  require_generator(c);
  auto model = std::make_unique<Model>();
  auto table = std::make_unique<TokenTable>("shared.weight", c.vocab_size, c.hidden_size, Init::normal(1));
  auto encoder_bias = std::make_unique<PositionBias>(c, "encoder", true, mesh);
  auto decoder_bias = std::make_unique<PositionBias>(c, "decoder", false, mesh);
  model->encoder.push_back(std::make_unique<Embedding>(c, *table));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer)
    model->encoder.push_back(std::make_unique<EncoderLayer>(c, layer, *encoder_bias, mesh));
  model->encoder.push_back(std::make_unique<Memory>(c));
  model->blocks.push_back(std::make_unique<Embedding>(c, *table));
  for (int layer = 0; layer < c.num_decoder_layers; ++layer)
    model->blocks.push_back(std::make_unique<DecoderLayer>(c, layer, *decoder_bias, mesh));
  model->blocks.push_back(std::make_unique<Head>(c, *table, mesh));
  model->shared.push_back(std::move(table));
  model->shared.push_back(std::move(encoder_bias));
  model->shared.push_back(std::move(decoder_bias));
  return model;
}

void complete(ModelConfig& c) {
  if (c.num_decoder_layers == 0) c.num_decoder_layers = c.num_hidden_layers;
  if (c.intermediate_size == 0) c.intermediate_size = 4 * c.hidden_size;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = kLongest;
  if (c.norm_eps == 0) c.norm_eps = 1e-6;
  if (c.hidden_act.empty()) c.hidden_act = c.gated_mlp ? "gelu_new" : "relu";
  if (c.relative_attention_num_buckets == 0) c.relative_attention_num_buckets = 32;
  if (c.relative_attention_max_distance == 0) c.relative_attention_max_distance = 128;
  if (c.pad_token_id < 0) c.pad_token_id = 0;
  if (c.decoder_start_token_id < 0) c.decoder_start_token_id = c.pad_token_id;
  RelativeBuckets(c.relative_attention_num_buckets, c.relative_attention_max_distance, true);
  RelativeBuckets(c.relative_attention_num_buckets, c.relative_attention_max_distance, false);
  require(c.num_key_value_heads == c.num_attention_heads, c.model_type, ": num_key_value_heads ", c.num_key_value_heads,
          " must equal num_attention_heads ", c.num_attention_heads);
}

/// "relu", "gated-gelu" (whose gelu is the tanh approximation), "gated-silu".
void read_mlp(const std::string& feed_forward, ModelConfig& c) {
  c.gated_mlp = feed_forward.starts_with("gated-");
  c.hidden_act = c.gated_mlp ? feed_forward.substr(6) : feed_forward;
  if (feed_forward == "gated-gelu") c.hidden_act = "gelu_new";
  activation_named(c.hidden_act);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = field_or(json, "vocab_size", int64_t{32128});
  c.hidden_size = field_or(json, "d_model", int64_t{512});
  c.head_dim = field_or(json, "d_kv", int64_t{64});
  c.intermediate_size = field_or(json, "d_ff", int64_t{2048});
  c.num_hidden_layers = c.num_decoder_layers = field_or(json, "num_layers", int64_t{6});
  read_field(json, "num_decoder_layers", c.num_decoder_layers);
  c.num_attention_heads = field_or(json, "num_heads", int64_t{8});
  c.relative_attention_num_buckets = field_or(json, "relative_attention_num_buckets", int64_t{32});
  c.relative_attention_max_distance = field_or(json, "relative_attention_max_distance", int64_t{128});
  c.norm_eps = field_or(json, "layer_norm_epsilon", 1e-6);
  c.embd_pdrop = c.resid_pdrop = field_or(json, "dropout_rate", 0.1);
  read_mlp(field_or(json, "feed_forward_proj", std::string("relu")), c);
  c.tie_word_embeddings = field_or(json, "tie_word_embeddings", true);
  c.scale_decoder_outputs = field_or(json, "scale_decoder_outputs", c.tie_word_embeddings);
  if (c.eos_token_id < 0 && !json.contains("eos_token_id")) c.eos_token_id = 1;
}

void write(const ModelConfig& c, nlohmann::json& json) {
  json["d_model"] = c.hidden_size;
  json["d_kv"] = c.head_dim;
  json["d_ff"] = c.intermediate_size;
  json["num_layers"] = c.num_hidden_layers;
  json["num_decoder_layers"] = c.num_decoder_layers;
  json["num_heads"] = c.num_attention_heads;
  json["relative_attention_num_buckets"] = c.relative_attention_num_buckets;
  json["relative_attention_max_distance"] = c.relative_attention_max_distance;
  json["layer_norm_epsilon"] = c.norm_eps;
  json["dropout_rate"] = c.resid_pdrop;
  json["feed_forward_proj"] = !c.gated_mlp                 ? c.hidden_act
                              : c.hidden_act == "gelu_new" ? "gated-gelu"
                                                           : "gated-" + c.hidden_act;
  json["scale_decoder_outputs"] = c.scale_decoder_outputs;
  json["is_encoder_decoder"] = true;
  json["pad_token_id"] = c.pad_token_id;
  json["decoder_start_token_id"] = c.decoder_start_token_id;
}

constexpr int64_t kGgufDistance = 128;  ///< llama.cpp's relative_attention_max_distance

void read_gguf(const GgufFile& file, ModelConfig& c) {
  const GgufFields& fields = file.fields();
  c.num_decoder_layers = fields.integer("t5.decoder_block_count", c.num_hidden_layers);
  c.relative_attention_num_buckets = fields.integer("t5.attention.relative_buckets_count");
  c.relative_attention_max_distance = kGgufDistance;
  c.decoder_start_token_id = fields.integer("t5.decoder_start_token_id", -1);
  c.pad_token_id = fields.integer("tokenizer.ggml.padding_token_id", 0);
  c.gated_mlp = file.find("enc.blk.0.ffn_gate.weight") != nullptr;
  c.hidden_act = c.gated_mlp ? "gelu_new" : "relu";
  c.scale_decoder_outputs = c.tie_word_embeddings && !c.gated_mlp;
}

/// llama.cpp leaves out the scale of the first T5's outputs: the same greedy texts, larger logits.
void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  require(c.hidden_act == (c.gated_mlp ? "gelu_new" : "relu"), c.model_type, ": an MLP with ", c.hidden_act,
          c.gated_mlp ? ", gated," : "", " cannot be kept in a GGUF file; relu and gated gelu_new can");
  require(c.relative_attention_max_distance == kGgufDistance, c.model_type, ": a relative_attention_max_distance of ",
          c.relative_attention_max_distance, " cannot be kept in a GGUF file, which means ", kGgufDistance);
  require(c.scale_decoder_outputs == (c.tie_word_embeddings && !c.gated_mlp), c.model_type, ": scale_decoder_outputs ",
          c.scale_decoder_outputs ? "true" : "false",
          " cannot be kept in a GGUF file, where outputs are scaled for a tied table without gates");
  write_gguf_sizes(c, "t5", GgufNorm::rms, metadata);
  metadata.set_f32("t5.attention.layer_norm_epsilon", c.norm_eps);
  metadata.set_u32("t5.attention.key_length", c.head_dim);
  metadata.set_u32("t5.attention.value_length", c.head_dim);
  metadata.set_u32("t5.attention.relative_buckets_count", c.relative_attention_num_buckets);
  metadata.set_u32("t5.decoder_block_count", c.num_decoder_layers);
  metadata.set_u32("t5.decoder_start_token_id", c.decoder_start_token_id);
}

std::vector<GgufName> gguf_names() {
  std::vector<GgufName> names = {{"shared", "token_embd"},
                                 {"encoder.final_layer_norm", "enc.output_norm"},
                                 {"decoder.final_layer_norm", "dec.output_norm"},
                                 {"lm_head", "output"}};
  auto part = [&](const std::string& model, const std::string& file, const std::string& prefix) {
    for (const char* letter : {"q", "k", "v", "o"}) names.push_back({model + letter, file + prefix + letter});
  };
  for (bool decoder : {false, true}) {
    const std::string model = decoder ? "decoder.block.*.layer." : "encoder.block.*.layer.";
    const std::string file = decoder ? "dec.blk.*." : "enc.blk.*.", mlp = model + (decoder ? "2." : "1.");
    names.push_back({model + "0.layer_norm", file + "attn_norm"});
    part(model + "0.SelfAttention.", file, "attn_");
    names.push_back({model + "0.SelfAttention.relative_attention_bias", file + "attn_rel_b"});
    if (decoder) names.push_back({model + "1.layer_norm", file + "cross_attn_norm"});
    if (decoder) part(model + "1.EncDecAttention.", file, "cross_attn_");
    names.push_back({mlp + "layer_norm", file + "ffn_norm"});
    names.push_back({mlp + "DenseReluDense.wi", file + "ffn_up"});
    names.push_back({mlp + "DenseReluDense.wi_0", file + "ffn_gate"});
    names.push_back({mlp + "DenseReluDense.wi_1", file + "ffn_up"});
    names.push_back({mlp + "DenseReluDense.wo", file + "ffn_down"});
  }
  return names;
}

/// Files of both are called t5, and open as such.
bool is_asked_for(const GgufFile&) { return false; }

Family family(const char* model_type, const char* architecture, bool (*is)(const GgufFile&)) {
  return {
      .model_type = model_type,
      .architecture = architecture,
      .tensor_prefix = "",
      .complete = complete,
      .make = make,
      .read = read,
      .write = write,
      .gguf = GgufForm{.architecture = "t5", .is = is, .read = read_gguf, .write = write_gguf, .names = gguf_names()},
      .reading = Reading::encoder_decoder};
}

const bool provided = provide_family(family("t5", "T5ForConditionalGeneration", nullptr)) &&
                      provide_family(family("mt5", "MT5ForConditionalGeneration", is_asked_for));

}  // namespace
}  // namespace lathe
