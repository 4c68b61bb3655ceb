// BERT (Devlin et al. 2019), and what has its layout: MiniLM (Wang et al. 2020), most sentence encoders.
#include "lathe/models/bidirectional.h"
#include "lathe/models/family.h"

namespace lathe {
namespace {

EncoderLayerNames layer_names(int layer) {
  std::string name = text("bert.encoder.layer.", layer);
  return {.q = name + ".attention.self.query",
          .k = name + ".attention.self.key",
          .v = name + ".attention.self.value",
          .o = name + ".attention.output.dense",
          .attention_norm = name + ".attention.output.LayerNorm",
          .up = name + ".intermediate.dense",
          .down = name + ".output.dense",
          .output_norm = name + ".output.LayerNorm"};
}

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

const bool provided = provide_family({.model_type = "bert",
                                      .architecture = "BertForMaskedLM",
                                      .tensor_prefix = "bert.",
                                      .complete = complete_bidirectional,
                                      .make = make,
                                      .read = read_bidirectional,
                                      .write = write_bidirectional,
                                      .reading = Reading::encoder});

}  // namespace
}  // namespace lathe
