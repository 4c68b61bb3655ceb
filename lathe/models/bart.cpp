// BART (Lewis et al. 2020): an encoder-decoder of BERT's layers, with learned positions and a tied head.
#include "lathe/models/bidirectional.h"
#include "lathe/models/config_json.h"
#include "lathe/models/cross_attention.h"
#include "lathe/models/family.h"
#include "lathe/models/heads.h"
#include "lathe/ops/elementwise.h"

namespace lathe {
namespace {

constexpr int64_t kFirstPosition = 2;  // rows of the table of positions that stand for none

EncoderLayerNames layer_names(const std::string& name) {
  return {.q = name + ".self_attn.q_proj",
          .k = name + ".self_attn.k_proj",
          .v = name + ".self_attn.v_proj",
          .o = name + ".self_attn.out_proj",
          .attention_norm = name + ".self_attn_layer_norm",
          .up = name + ".fc1",
          .down = name + ".fc2",
          .output_norm = name + ".final_layer_norm"};
}

EmbeddingNames embedding_names(const std::string& stack) {
  return {.positions = stack + ".embed_positions.weight", .types = "", .norm = stack + ".layernorm_embedding"};
}

/// Attention to the text so far, to the memory, and the MLP, each added to what it read and normalized behind it.
class DecoderLayer : public Block {
 public:
  DecoderLayer(const ModelConfig& c, int layer, Mesh& mesh)
      : DecoderLayer(c, layer, mesh, text("model.decoder.layers.", layer)) {}

  Tensor forward(const Tensor& hidden, Pass& pass) override {
    Tensor h = attention_(hidden, pass);
    return mlp_(memory_norm_(add_to_residual(memory_, h, h, dropout_, pass, layer_, 2)), pass);
  }
  void list(Inventory& inventory) override {
    attention_.list(inventory);
    memory_.list(inventory);
    memory_norm_.list(inventory);
    mlp_.list(inventory);
  }

 private:
  int layer_;
  float dropout_;
  NormedAttention attention_;
  CrossAttention memory_;
  LayerNorm memory_norm_;
  NormedMlp mlp_;

  DecoderLayer(const ModelConfig& c, int layer, Mesh& mesh, const std::string& name)
      : layer_(layer),
        dropout_(float(c.resid_pdrop)),
        attention_(c, layer_names(name), layer, true, mesh),
        memory_(c, layer,
                {name + ".encoder_attn.q_proj", name + ".encoder_attn.k_proj", name + ".encoder_attn.v_proj",
                 name + ".encoder_attn.out_proj"},
                attention_spec(c, layer, mesh), true, Init::normal(float(c.initializer_range)),
                Init::normal(float(c.initializer_range)), mesh),
        memory_norm_(name + ".encoder_attn_layer_norm", c.hidden_size, c.norm_eps),
        mlp_(c, layer_names(name), layer, mesh) {}
};

class Head : public Block {
 public:
  Head(const ModelConfig& c, TokenTable& table)
      : table_(table),
        bias_({padded_vocabulary(c.vocab_size)}, {whole_matrix("final_logits_bias", 1, c.vocab_size)}, Init::zeros(),
              true) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish(hidden, [this](const Tensor& rows) {
      return table_.weight->multiply(rows, {&bias_.value, nullptr});
    });
  }
  void list(Inventory& inventory) override {
    inventory.add(bias_);
    table_.list(inventory);
  }

 private:
  TokenTable& table_;
  Parameter bias_;
};

std::unique_ptr<Block> head_of(const ModelConfig& c, TokenTable& table) {
  require(!architecture_of(c).ends_with("ForCausalLM"), "bart: the head of architecture \"", c.architecture,
          "\" is not supported, a decoder without its encoder");
  if (task_of(c) == Task::causal_lm) return std::make_unique<Head>(c, table);
  return make_head(c,
                   {.sequence_dense = "classification_head.dense",
                    .sequence_out = "classification_head.out_proj",
                    .span_out = "qa_outputs",
                    .sequence_end = SequenceEnd::last},
                   table);
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  auto model = std::make_unique<Model>();
  auto table = std::make_unique<TokenTable>("model.shared.weight", c.vocab_size, c.hidden_size,
                                            Init::normal(float(c.initializer_range)));
  model->encoder.push_back(
      std::make_unique<EncoderEmbedding>(c, embedding_names("model.encoder"), *table, kFirstPosition));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer)
    model->encoder.push_back(
        std::make_unique<EncoderLayer>(c, layer_names(text("model.encoder.layers.", layer)), layer, mesh));
  model->blocks.push_back(
      std::make_unique<EncoderEmbedding>(c, embedding_names("model.decoder"), *table, kFirstPosition));
  for (int layer = 0; layer < c.num_decoder_layers; ++layer)
    model->blocks.push_back(std::make_unique<DecoderLayer>(c, layer, mesh));
  model->blocks.push_back(head_of(c, *table));
  model->shared.push_back(std::move(table));
  return model;
}

void complete(ModelConfig& c) {
  if (c.num_decoder_layers == 0) c.num_decoder_layers = c.num_hidden_layers;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 1024;
  if (c.norm_eps == 0) c.norm_eps = 1e-5;
  if (c.pad_token_id < 0) c.pad_token_id = 1;
  if (c.decoder_start_token_id < 0) c.decoder_start_token_id = 2;
  complete_bidirectional(c);
}

/// Encoder and decoder have one width, as in all models that were published.
int64_t of_both(const nlohmann::json& json, const char* encoder, const char* decoder, int64_t fallback) {
  int64_t first = field_or(json, encoder, fallback), second = field_or(json, decoder, fallback);
  require(first == second, "bart: ", encoder, " = ", first, " and ", decoder, " = ", second,
          " differ, which is not supported");
  return first;
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = field_or(json, "vocab_size", int64_t{50265});
  c.hidden_size = field_or(json, "d_model", int64_t{1024});
  c.num_hidden_layers = field_or(json, "encoder_layers", int64_t{12});
  c.num_decoder_layers = field_or(json, "decoder_layers", int64_t{12});
  c.num_attention_heads = of_both(json, "encoder_attention_heads", "decoder_attention_heads", 16);
  c.intermediate_size = of_both(json, "encoder_ffn_dim", "decoder_ffn_dim", 4096);
  c.max_position_embeddings = field_or(json, "max_position_embeddings", int64_t{1024});
  c.hidden_act = field_or(json, "activation_function", std::string("gelu"));
  c.norm_eps = 1e-5;
  c.initializer_range = field_or(json, "init_std", 0.02);
  c.embd_pdrop = c.resid_pdrop = field_or(json, "dropout", 0.1);
  c.scale_embedding = field_or(json, "scale_embedding", false);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  json["d_model"] = c.hidden_size;
  json["encoder_layers"] = c.num_hidden_layers;
  json["decoder_layers"] = c.num_decoder_layers;
  json["encoder_attention_heads"] = json["decoder_attention_heads"] = c.num_attention_heads;
  json["encoder_ffn_dim"] = json["decoder_ffn_dim"] = c.intermediate_size;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["activation_function"] = c.hidden_act;
  json["init_std"] = c.initializer_range;
  json["dropout"] = c.resid_pdrop;
  json["attention_dropout"] = json["activation_dropout"] = 0.0;
  json["scale_embedding"] = c.scale_embedding;
  json["is_encoder_decoder"] = true;
  json["decoder_start_token_id"] = c.decoder_start_token_id;
  if (c.forced_bos_token_id >= 0) json["forced_bos_token_id"] = c.forced_bos_token_id;
  json["forced_eos_token_id"] =
      c.forced_eos_token_id >= 0 ? nlohmann::json(c.forced_eos_token_id) : nlohmann::json(nullptr);
  write_labels(c, json);
}

const bool provided = provide_family({.model_type = "bart",
                                      .architecture = "BartForConditionalGeneration",
                                      .tensor_prefix = "model.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .reading = Reading::encoder_decoder});

}  // namespace
}  // namespace lathe
