// BERT (Devlin et al. 2019), and what has its layout: MiniLM (Wang et al. 2020), most sentence encoders.
#include "lathe/models/bidirectional.h"
#include "lathe/models/family.h"
#include "lathe/models/task.h"

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
  require(!file.fields().boolean("bert.attention.causal", false), file.path(),
          ": bert.attention.causal is true; only encoders are supported");
  c.type_vocab_size = file.fields().integer("tokenizer.ggml.token_type_count", 0);
  c.pad_token_id = file.fields().integer("tokenizer.ggml.padding_token_id", 0);
  c.architecture = "BertModel";
}

/// Files hold the encoder alone; llama.cpp's GELU is the exact one.
void write_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  require(task_of(c) == Task::hidden, "bert: the head of ", architecture_of(c),
          " cannot be kept in a GGUF file; only encoders (BertModel) can");
  require(c.hidden_act == "gelu", "bert: hidden_act ", c.hidden_act,
          " cannot be kept in a GGUF file, whose bert architecture has gelu");
  write_gguf_sizes(c, "bert", GgufNorm::layer, metadata);
  metadata.set_bool("bert.attention.causal", false);
  metadata.set_u32("tokenizer.ggml.token_type_count", c.type_vocab_size);
}

std::vector<GgufName> gguf_names() {
  const std::string layer = "bert.encoder.layer.*.";
  return {{"bert.embeddings.word_embeddings", "token_embd"},
          {"bert.embeddings.position_embeddings", "position_embd"},
          {"bert.embeddings.token_type_embeddings", "token_types"},
          {"bert.embeddings.LayerNorm", "token_embd_norm"},
          {layer + "attention.self.query", "blk.*.attn_q"},
          {layer + "attention.self.key", "blk.*.attn_k"},
          {layer + "attention.self.value", "blk.*.attn_v"},
          {layer + "attention.output.dense", "blk.*.attn_output"},
          {layer + "attention.output.LayerNorm", "blk.*.attn_output_norm"},
          {layer + "intermediate.dense", "blk.*.ffn_up"},
          {layer + "output.dense", "blk.*.ffn_down"},
          {layer + "output.LayerNorm", "blk.*.layer_output_norm"}};
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
                                                       .names = gguf_names(),
                                                       .keys = {"attention.causal"}},
                                      .reading = Reading::encoder});

}  // namespace
}  // namespace lathe
