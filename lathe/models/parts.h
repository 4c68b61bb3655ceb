#pragma once

#include "lathe/nn/linear.h"

namespace lathe {

/// Rows that a table of `vocab_size` tokens really has: on a GPU a multiple of 64, without which each row of logits
/// would begin where its products are slow. The rows beyond stay zero and are in no file.
int64_t padded_vocabulary(int64_t vocab_size);

/// A table of token vectors [padded_vocabulary(vocab_size), hidden_size]; also the head where embeddings are tied
/// (Press & Wolf 2017).
class TokenTable : public Module {
 public:
  TokenTable(const std::string& name, int64_t vocab_size, int64_t hidden_size, Init init);
  void list(Inventory& inventory) override { weight->list(inventory); }
  std::unique_ptr<Weight> weight;
};

/// The sections of a head of its own that gives a logit for each token, and for each padded row.
std::vector<Section> head_sections(const std::string& name, int64_t vocab_size);

/// hidden + dropout(linear(x)); one product where there is no dropout.
Tensor add_to_residual(const Linear& linear, const Tensor& x, const Tensor& hidden, float dropout, Pass& pass,
                       int layer, int use);

}  // namespace lathe
