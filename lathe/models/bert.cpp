// BERT (Devlin et al. 2019), and what has its layout: MiniLM (Wang et al. 2020), most sentence encoders.
#include "lathe/models/bidirectional.h"
#include "lathe/models/family.h"

namespace lathe {
namespace {

EncoderLayerNames layer_names(int layer) { return bert_layer_names("bert", layer); }

HeadNames head_names(const ModelConfig& c) {
  return {.masked_dense = "cls.predictions.transform.dense",
          .masked_norm = "cls.predictions.transform.LayerNorm",
          .masked_bias = "cls.predictions.bias",
          .sequence_dense = "bert.pooler.dense",
          .sequence_out = "classifier",
          .token_out = "classifier",
          .span_out = "qa_outputs",
          .masked_activation = activation_named(c.hidden_act)};
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  return make_bidirectional(c,
                            {.tokens = "bert.embeddings.word_embeddings.weight",
                             .embedding = {.positions = "bert.embeddings.position_embeddings.weight",
                                           .types = "bert.embeddings.token_type_embeddings.weight",
                                           .norm = "bert.embeddings.LayerNorm"},
                             .layer = layer_names,
                             .head = head_names(c)},
                            mesh);
}

void read_gguf(const GgufFile& file, ModelConfig& c) {
  c.pad_token_id = 0;
  read_bidirectional_gguf(file, "BertModel", c);
}

void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  write_bidirectional_gguf(c, c.type_vocab_size, metadata);
}

const bool provided = provide_family({.model_type = "bert",
                                      .architecture = "BertForMaskedLM",
                                      .tensor_prefix = "bert.",
                                      .complete = complete_bidirectional,
                                      .make = make,
                                      .read = read_bidirectional,
                                      .write = write_bidirectional,
                                      .gguf = GgufForm{.architecture = "bert",
                                                       .read = read_gguf,
                                                       .write = write_gguf,
                                                       .names = bert_gguf_names("bert"),
                                                       .keys = {"attention.causal"}},
                                      .reading = Reading::encoder});

}  // namespace
}  // namespace lathe
