// Longformer (Beltagy et al. 2020): RoBERTa for long texts. A token sees a window around it and the text's global
// tokens; those see the whole text, by projections of their own.
#include "lathe/models/bidirectional.h"
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/ops/elementwise.h"

namespace lathe {
namespace {

EncoderLayerNames layer_names(int layer) { return bert_layer_names("longformer", layer); }

class WindowAttention : public Part {
 public:
  WindowAttention(const ModelConfig& c, const EncoderLayerNames& names, int layer, Mesh& mesh)
      : layer_(layer),
        spec_(attention_spec(c, layer, mesh)),
        qkv_(projection(c, c.hidden_size, query_key_value(c, names.q, names.k, names.v), true, Split::out, mesh)),
        global_q_(projection(c, c.hidden_size, {of_heads(c, names.q + "_global")}, true, Split::out, mesh)),
        global_kv_(projection(c, c.hidden_size, {of_heads(c, names.k + "_global"), of_heads(c, names.v + "_global")},
                              true, Split::out, mesh)),
        o_(projection(c, c.hidden_size, {{names.o, c.hidden_size}}, true, Split::in, mesh)) {
    spec_.causal = false;
  }

  Tensor operator()(LinearInput given, Pass& pass, const Tensor* residual) const override {
    Tensor x = given.rows();
    auto heads = [this](const Tensor& rows, int64_t count) {
      return reshape(rows, {rows.shape()[0], count, spec_.head_dim});
    };
    GlobalProjections globals{
        .hidden = x,
        .queries = [&](const Tensor& rows) { return heads(global_q_(rows, pass), spec_.heads); },
        .keys_and_values = [&](const Tensor& rows) { return heads(global_kv_(rows, pass), 2 * spec_.heads); }};
    Tensor attended = pass.attend_with_globals(layer_, heads(qkv_(x, pass), 3 * spec_.heads), globals, spec_);
    return o_(attended, pass, residual);
  }

  void list(Inventory& inventory) override {
    for (Linear* linear : {&qkv_, &global_q_, &global_kv_, &o_}) linear->list(inventory);
  }

 private:
  int layer_;
  AttentionSpec spec_;
  Linear qkv_, global_q_, global_kv_, o_;

  static Section of_heads(const ModelConfig& c, const std::string& name) {
    return {name, c.num_attention_heads * c.head_dim, c.head_dim};
  }
};

std::unique_ptr<Part> attention(const ModelConfig& c, int layer, Mesh& mesh) {
  return std::make_unique<WindowAttention>(c, layer_names(layer), layer, mesh);
}

/// As RoBERTa's: positions count from the one behind that of padding.
int64_t first_position(const ModelConfig& c) { return c.pad_token_id + 1; }

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  return make_bidirectional(c,
                            {.tokens = "longformer.embeddings.word_embeddings.weight",
                             .embedding = {.positions = "longformer.embeddings.position_embeddings.weight",
                                           .types = "longformer.embeddings.token_type_embeddings.weight",
                                           .norm = "longformer.embeddings.LayerNorm"},
                             .layer = layer_names,
                             .head = {.masked_dense = "lm_head.dense",
                                      .masked_norm = "lm_head.layer_norm",
                                      .masked_bias = "lm_head.bias",
                                      .sequence_dense = "classifier.dense",
                                      .sequence_out = "classifier.out_proj",
                                      .token_out = "classifier",
                                      .span_out = "qa_outputs"},
                             .attention = attention},
                            mesh, first_position(c));
}

void complete(ModelConfig& c) {
  if (c.pad_token_id < 0) c.pad_token_id = 1;
  if (c.sep_token_id < 0) c.sep_token_id = 2;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 4096;
  if (c.attention_window.empty()) c.attention_window = {512};
  if (c.attention_window.size() == 1) c.attention_window.resize(size_t(c.num_hidden_layers), c.attention_window[0]);
  require(int64_t(c.attention_window.size()) == c.num_hidden_layers, "longformer: attention_window names ",
          c.attention_window.size(), " layers of ", c.num_hidden_layers);
  for (int64_t window : c.attention_window)
    require(window > 0 && window % 2 == 0 && window < int64_t{1} << 30, "longformer: attention_window has ", window,
            "; it must be even and positive");
  complete_bidirectional(c);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  read_bidirectional(json, c);
  if (c.pad_token_id < 0) c.pad_token_id = 1;
  read_field(json, "sep_token_id", c.sep_token_id);
  c.max_position_embeddings -= first_position(c);
  require(c.max_position_embeddings > 0, "longformer: max_position_embeddings ",
          c.max_position_embeddings + first_position(c), " leaves no position behind pad_token_id ", c.pad_token_id);
  auto window = json.find("attention_window");
  if (window != json.end() && window->is_array())
    read_field(json, "attention_window", c.attention_window);
  else
    c.attention_window = {field_or(json, "attention_window", int64_t{512})};
}

void write(const ModelConfig& c, nlohmann::json& json) {
  write_bidirectional(c, json);
  json["max_position_embeddings"] = c.max_position_embeddings + first_position(c);
  json["sep_token_id"] = c.sep_token_id;
  json["attention_window"] = c.attention_window;
}

const bool provided = provide_family({.model_type = "longformer",
                                      .architecture = "LongformerForMaskedLM",
                                      .tensor_prefix = "longformer.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .reading = Reading::encoder,
                                      .global_tokens = true});

}  // namespace
}  // namespace lathe
