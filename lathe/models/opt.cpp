// OPT (Zhang et al. 2022): learned positions from row 2 on, LayerNorm, ReLU; its 350M model has norms behind the parts,
// and a table of tokens narrower than the layers.
#include "lathe/models/config_json.h"
#include "lathe/models/family.h"
#include "lathe/models/layers.h"
#include "lathe/models/task.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/embedding.h"

namespace lathe {
namespace {

constexpr int64_t kFirstPosition = 2;  ///< the rows before it are used for nothing
const std::string kDecoder = "model.decoder.";

class Embedding : public Block {
 public:
  Embedding(const ModelConfig& c, TokenTable& table, Mesh& mesh)
      : table_(table),
        length_(c.max_position_embeddings),
        positions_({length_ + kFirstPosition, c.hidden_size},
                   {whole_matrix(kDecoder + "embed_positions.weight", length_ + kFirstPosition, c.hidden_size)},
                   Init::normal(float(c.initializer_range))) {
    if (c.word_embed_proj_dim != c.hidden_size)
      project_in_ = std::make_unique<Linear>(
          projection(c, c.word_embed_proj_dim, {{kDecoder + "project_in", c.hidden_size}}, false, Split::none, mesh));
  }
  Tensor forward(const Tensor&, Pass& pass) override {
    Tensor tokens = table_.weight->rows(pass.tokens());
    if (project_in_) tokens = (*project_in_)(tokens, pass);
    return add(tokens, embedding(pass.positions(), lathe::rows(positions_.value, kFirstPosition, length_)));
  }
  void list(Inventory& inventory) override {
    table_.list(inventory);
    inventory.add(positions_);
    if (project_in_) project_in_->list(inventory);
  }

 private:
  TokenTable& table_;
  int64_t length_;
  Parameter positions_;
  std::unique_ptr<Linear> project_in_;  ///< null: the table is as wide as the layers
};

/// h = norm(hidden + attention(hidden)), then norm(h + mlp(h)).
class LayerWithNormsBehind : public Block {
 public:
  explicit LayerWithNormsBehind(LayerParts parts) : parts_(std::move(parts)) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    const LayerParts& p = parts_;
    Tensor h = (*p.attention_norm)(add_to_residual(*p.attention, hidden, hidden, p.dropout, pass, p.layer, 0));
    return (*p.mlp_norm)(add_to_residual(*p.mlp, h, h, p.dropout, pass, p.layer, 1));
  }
  void list(Inventory& inventory) override {
    parts_.attention->list(inventory);
    parts_.attention_norm->list(inventory);
    parts_.mlp->list(inventory);
    parts_.mlp_norm->list(inventory);
  }

 private:
  LayerParts parts_;
};

/// What the rows of the last layer become before a head reads them.
class Ending : public Module {
 public:
  Ending(const ModelConfig& c, Mesh& mesh) {
    if (c.do_layer_norm_before)
      norm_ = std::make_unique<LayerNorm>(kDecoder + "final_layer_norm", c.hidden_size, c.norm_eps);
    if (c.word_embed_proj_dim != c.hidden_size)
      project_out_ = std::make_unique<Linear>(
          projection(c, c.hidden_size, {{kDecoder + "project_out", c.word_embed_proj_dim}}, false, Split::none, mesh));
  }
  Tensor operator()(const Tensor& rows, Pass& pass) const {
    Tensor x = norm_ ? (*norm_)(rows) : rows;
    return project_out_ ? (*project_out_)(x, pass) : x;
  }
  void list(Inventory& inventory) override {
    if (norm_) norm_->list(inventory);
    if (project_out_) project_out_->list(inventory);
  }

 private:
  std::unique_ptr<LayerNorm> norm_;
  std::unique_ptr<Linear> project_out_;
};

class Head : public Block {
 public:
  Head(const ModelConfig& c, TokenTable& table, Mesh& mesh) : table_(table), ending_(c, mesh) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish(hidden,
                       [this, &pass](const Tensor& rows) { return table_.weight->multiply(ending_(rows, pass), {}); });
  }
  void list(Inventory& inventory) override {
    ending_.list(inventory);
    table_.list(inventory);
  }

 private:
  TokenTable& table_;
  Ending ending_;
};

/// Labels of a whole text, by its last token; as wide as the table of tokens, not as the layers.
class Labels : public Block {
 public:
  Labels(const ModelConfig& c, Mesh& mesh)
      : ending_(c, mesh),
        score_({.in = c.word_embed_proj_dim,
                .sections = {{"score", int64_t(c.labels.size())}},
                .init = Init::normal(float(c.initializer_range))}) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish_sequences(pass.ends(hidden, SequenceEnd::last),
                                 [this, &pass](const Tensor& rows) { return score_(ending_(rows, pass), pass); });
  }
  void list(Inventory& inventory) override {
    ending_.list(inventory);
    score_.list(inventory);
  }

 private:
  Ending ending_;
  Linear score_;
};

std::unique_ptr<Block> head(const ModelConfig& c, TokenTable& table, Mesh& mesh) {
  Task task = task_of(c);
  if (task == Task::sequence_labels) {
    require(!c.labels.empty(), "opt: architecture \"", c.architecture, "\" needs labels to give");
    return std::make_unique<Labels>(c, mesh);
  }
  require(task == Task::causal_lm || task == Task::hidden, "opt: the head of architecture \"", c.architecture,
          "\" is not supported");
  return std::make_unique<Head>(c, table, mesh);
}

std::unique_ptr<Block> layer(const ModelConfig& c, int number, Mesh& mesh) {
  const std::string name = text(kDecoder, "layers.", number), attn = name + ".self_attn.";
  auto qkv = query_key_value(c, attn + "q_proj", attn + "k_proj", attn + "v_proj");
  LayerParts parts{
      .layer = number,
      .attention_norm = std::make_unique<LayerNorm>(name + ".self_attn_layer_norm", c.hidden_size, c.norm_eps),
      .attention = std::make_unique<SelfAttention>(AttentionOptions{
          .layer = number,
          .spec = attention_spec(c, number, mesh),
          .qkv = projection(c, c.hidden_size, qkv, c.attention_bias, Split::out, mesh),
          .o = projection(c, c.hidden_size, {{attn + "out_proj", c.hidden_size}}, c.attention_bias, Split::in, mesh)}),
      .mlp_norm = std::make_unique<LayerNorm>(name + ".final_layer_norm", c.hidden_size, c.norm_eps),
      .mlp = std::make_unique<PlainMlp>(
          c.hidden_act,
          projection(c, c.hidden_size, {{name + ".fc1", c.intermediate_size}}, c.mlp_bias, Split::out, mesh),
          projection(c, c.intermediate_size, {{name + ".fc2", c.hidden_size}}, c.mlp_bias, Split::in, mesh)),
      .dropout = float(c.resid_pdrop)};
  if (c.do_layer_norm_before) return std::make_unique<SequentialLayer>(std::move(parts));
  return std::make_unique<LayerWithNormsBehind>(std::move(parts));
}

std::unique_ptr<Model> make(const ModelConfig& c, Mesh& mesh) {
  auto table = std::make_unique<TokenTable>(kDecoder + "embed_tokens.weight", c.vocab_size, c.word_embed_proj_dim,
                                            Init::normal(float(c.initializer_range)));
  TokenTable& tokens = *table;
  return make_decoder(
      c, std::move(table), std::make_unique<Embedding>(c, tokens, mesh),
      [&](int number) { return layer(c, number, mesh); }, head(c, tokens, mesh));
}

void complete(ModelConfig& c) {
  if (c.intermediate_size == 0) c.intermediate_size = 4 * c.hidden_size;
  if (c.max_position_embeddings == 0) c.max_position_embeddings = 2048;
  if (c.norm_eps == 0) c.norm_eps = 1e-5;
  if (c.hidden_act.empty()) c.hidden_act = "relu";
  if (c.word_embed_proj_dim == 0) c.word_embed_proj_dim = c.hidden_size;
  c.tie_word_embeddings = true;
  require(c.num_key_value_heads == c.num_attention_heads && c.head_dim * c.num_attention_heads == c.hidden_size,
          "opt: num_key_value_heads ", c.num_key_value_heads, " must equal num_attention_heads ", c.num_attention_heads,
          ", and head_dim ", c.head_dim, " times those hidden_size ", c.hidden_size);
  require(c.attention_bias == c.mlp_bias && c.norm_eps == 1e-5 && c.embd_pdrop == 0,
          "opt: attention_bias and mlp_bias must agree, norm_eps ", c.norm_eps, " be 1e-5 and embd_pdrop ",
          c.embd_pdrop, " be 0: files cannot say anything else");
}

void read(const nlohmann::json& json, ModelConfig& c) {
  c.vocab_size = 50272;
  c.hidden_size = 768;
  c.num_hidden_layers = c.num_attention_heads = 12;
  c.intermediate_size = 3072;
  c.max_position_embeddings = 2048;
  c.resid_pdrop = 0.1;
  c.attention_bias = true;
  read_field(json, "vocab_size", c.vocab_size);
  read_field(json, "hidden_size", c.hidden_size);
  read_field(json, "num_hidden_layers", c.num_hidden_layers);
  read_field(json, "num_attention_heads", c.num_attention_heads);
  read_field(json, "ffn_dim", c.intermediate_size);
  read_field(json, "max_position_embeddings", c.max_position_embeddings);
  read_field(json, "activation_function", c.hidden_act);
  read_field(json, "dropout", c.resid_pdrop);
  read_field(json, "init_std", c.initializer_range);
  read_field(json, "do_layer_norm_before", c.do_layer_norm_before);
  read_field(json, "word_embed_proj_dim", c.word_embed_proj_dim);
  read_field(json, "enable_bias", c.attention_bias);
  c.mlp_bias = c.attention_bias;
  require_field(json, c, "_remove_final_layer_norm", false);
  require_field(json, c, "layer_norm_elementwise_affine", true);
  require_field(json, c, "tie_word_embeddings", true);
}

void write(const ModelConfig& c, nlohmann::json& json) {
  json["hidden_size"] = c.hidden_size;
  json["num_hidden_layers"] = c.num_hidden_layers;
  json["num_attention_heads"] = c.num_attention_heads;
  json["ffn_dim"] = c.intermediate_size;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["activation_function"] = c.hidden_act;
  json["dropout"] = c.resid_pdrop;
  json["attention_dropout"] = 0.0;
  json["init_std"] = c.initializer_range;
  json["do_layer_norm_before"] = c.do_layer_norm_before;
  json["word_embed_proj_dim"] = c.word_embed_proj_dim;
  json["enable_bias"] = c.attention_bias;
}

const bool provided = provide_family({.model_type = "opt",
                                      .architecture = "OPTForCausalLM",
                                      .tensor_prefix = "model.",
                                      .complete = complete,
                                      .make = make,
                                      .read = read,
                                      .write = write});

}  // namespace
}  // namespace lathe
