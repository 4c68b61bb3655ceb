// RoBERTa (Liu et al. 2019): BERT without segments, whose positions begin behind that of padding.
#include "lathe/models/bidirectional.h"
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"

namespace lathe {
namespace {

EncoderLayerNames layer_names(int layer) { return bert_layer_names("roberta", layer); }

HeadNames head_names() {
  return {.masked_dense = "lm_head.dense",
          .masked_norm = "lm_head.layer_norm",
          .masked_bias = "lm_head.bias",
          .sequence_dense = "classifier.dense",
          .sequence_out = "classifier.out_proj",
          .token_out = "classifier",
          .span_out = "qa_outputs"};
}

/// Padding has a position of its own, its token's id, and positions count from the one behind it.
int64_t first_position(const ModelConfig& c) { return c.pad_token_id + 1; }

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  return make_bidirectional(c,
                            {.tokens = "roberta.embeddings.word_embeddings.weight",
                             .embedding = {.positions = "roberta.embeddings.position_embeddings.weight",
                                           .types = "roberta.embeddings.token_type_embeddings.weight",
                                           .norm = "roberta.embeddings.LayerNorm"},
                             .layer = layer_names,
                             .head = head_names()},
                            mesh, first_position(c));
}

void complete(ModelConfig& c) {
  if (c.pad_token_id < 0) c.pad_token_id = 1;
  if (c.type_vocab_size == 0) c.type_vocab_size = 1;
  complete_bidirectional(c);
}

void read(const nlohmann::json& json, ModelConfig& c) {
  read_bidirectional(json, c);
  if (c.pad_token_id < 0) c.pad_token_id = 1;
  c.vocab_size = field_or(json, "vocab_size", int64_t{50265});
  c.max_position_embeddings -= first_position(c);
  require(c.max_position_embeddings > 0, "roberta: max_position_embeddings ",
          c.max_position_embeddings + first_position(c), " leaves no position behind pad_token_id ", c.pad_token_id);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  write_bidirectional(c, json);
  json["max_position_embeddings"] = c.max_position_embeddings + first_position(c);
}

/// Files of RoBERTa's kind and of BERT's are told apart by their tokenizers, as there is nothing else: byte-level BPE,
/// or XLM-RoBERTa's Unigram.
bool is_roberta(const GgufFile& file) {
  const std::string tokenizer = file.fields().string("tokenizer.ggml.model", "");
  return tokenizer == "gpt2" || tokenizer == "t5";
}

void read_gguf(const GgufFile& file, ModelConfig& c) {
  c.pad_token_id = 1;
  read_bidirectional_gguf(file, "RobertaModel", c);
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  write_bidirectional_gguf(c, c.type_vocab_size, metadata);
}

/// Files begin with the position of the first token.
std::vector<GgufName> gguf_names() {
  std::vector<GgufName> names = bert_gguf_names("roberta");
  for (GgufName& name : names)
    if (name.file == "position_embd") name.left_out = first_position;
  return names;
}

const bool provided = provide_family({.model_type = "roberta",
                                      .architecture = "RobertaForMaskedLM",
                                      .tensor_prefix = "roberta.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write,
                                      .gguf = GgufForm{.architecture = "bert",
                                                       .is = is_roberta,
                                                       .read = read_gguf,
                                                       .write = write_gguf,
                                                       .names = gguf_names(),
                                                       .keys = {"attention.causal"}},
                                      .reading = Reading::encoder});

}  // namespace
}  // namespace lathe
