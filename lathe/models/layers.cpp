#include "lathe/models/layers.h"

#include "lathe/models/task.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/softcap.h"

namespace lathe {

Tensor SequentialLayer::forward(const Tensor& hidden, Pass& pass) {
  const LayerParts& p = parts_;
  Tensor h = add_to_residual(*p.attention, p.attention_norm->before(hidden), hidden, p.dropout, pass, p.layer, 0);
  return add_to_residual(*p.mlp, p.mlp_norm->before(h), h, p.dropout, pass, p.layer, 1);
}

void SequentialLayer::list(Inventory& inventory) {
  parts_.attention_norm->list(inventory);
  parts_.attention->list(inventory);
  parts_.mlp_norm->list(inventory);
  parts_.mlp->list(inventory);
}

Tensor ParallelLayer::forward(const Tensor& hidden, Pass& pass) {
  const LayerParts& p = parts_;
  Tensor x = (*p.attention_norm)(hidden);
  Tensor h = add_to_residual(*p.attention, x, hidden, p.dropout, pass, p.layer, 0);
  if (p.mlp_norm) x = (*p.mlp_norm)(hidden);
  return add_to_residual(*p.mlp, std::move(x), h, p.dropout, pass, p.layer, 1);
}

void ParallelLayer::list(Inventory& inventory) {
  parts_.attention_norm->list(inventory);
  if (parts_.mlp_norm) parts_.mlp_norm->list(inventory);
  parts_.attention->list(inventory);
  parts_.mlp->list(inventory);
}

Tensor TokenEmbedding::forward(const Tensor&, Pass& pass) {
  Tensor rows = table_.weight->rows(pass.tokens());
  // as transformers: the factor has the type of the table
  if (scale_ != 1) rows = scale(rows, rows.dtype() == DType::bf16 ? float(BF16(scale_)) : scale_);
  return pass.drop(rows, dropout_, -1, 0);
}

LanguageHead::LanguageHead(const ModelConfig& c, TokenTable& table, HeadOptions options, Mesh& mesh)
    : table_(table), norm_(std::move(options.norm)), softcap_(options.softcap) {
  if (!c.tie_word_embeddings)
    own_ = std::make_unique<Linear>(
        projection(c, c.hidden_size, head_sections(options.name, c.vocab_size), options.bias, Split::none, mesh));
}

Tensor LanguageHead::forward(const Tensor& hidden, Pass& pass) {
  return pass.finish(hidden, [this, &pass](const Tensor& rows) {
    LinearInput input = norm_->before(rows);
    Tensor logits = own_ ? (*own_)(input, pass) : by_table(input);
    return softcap_ > 0 ? softcap(logits, softcap_) : logits;
  });
}

Tensor LanguageHead::by_table(const LinearInput& input) const {
  const Weight& weight = *table_.weight;
  return input.norm ? weight.multiply_normed(input.x, *input.norm, {}) : weight.multiply(input.x, {});
}

void LanguageHead::list(Inventory& inventory) {
  norm_->list(inventory);
  if (own_)
    own_->list(inventory);
  else
    table_.list(inventory);
}

LabelHead::LabelHead(const ModelConfig& c, std::unique_ptr<Norm> norm)
    : norm_(std::move(norm)),
      score_({.in = c.hidden_size,
              .sections = {{"score", int64_t(c.labels.size())}},
              .init = Init::normal(float(c.initializer_range))}) {}

Tensor LabelHead::forward(const Tensor& hidden, Pass& pass) {
  return pass.finish_sequences(pass.ends(hidden, SequenceEnd::last),
                               [this, &pass](const Tensor& rows) { return score_((*norm_)(rows), pass); });
}

void LabelHead::list(Inventory& inventory) {
  norm_->list(inventory);
  score_.list(inventory);
}

std::unique_ptr<Block> make_decoder_head(const ModelConfig& c, TokenTable& table, HeadOptions options, Mesh& mesh) {
  Task task = task_of(c);
  if (task == Task::sequence_labels) {
    require(!c.labels.empty(), c.model_type, ": architecture \"", c.architecture, "\" needs labels to give");
    return std::make_unique<LabelHead>(c, std::move(options.norm));
  }
  require(task == Task::causal_lm || task == Task::hidden, c.model_type, ": the head of architecture \"",
          c.architecture, "\" is not supported");
  return std::make_unique<LanguageHead>(c, table, std::move(options), mesh);
}

std::unique_ptr<Model> make_decoder(const ModelConfig& c, std::unique_ptr<TokenTable> table,
                                    std::unique_ptr<Block> embedding,
                                    const std::function<std::unique_ptr<Block>(int layer)>& layer,
                                    std::unique_ptr<Block> head) {
  auto model = std::make_unique<Model>();
  model->blocks.push_back(std::move(embedding));
  for (int number = 0; number < c.num_hidden_layers; ++number) model->blocks.push_back(layer(number));
  model->blocks.push_back(std::move(head));
  model->shared.push_back(std::move(table));
  return model;
}

}  // namespace lathe
