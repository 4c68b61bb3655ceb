#pragma once

#include "lathe/nn/linear.h"

namespace lathe {

/// A table of token vectors [vocab_size, hidden_size]; also the head where embeddings are tied (Press & Wolf 2017).
class TokenTable : public Module {
 public:
  TokenTable(const std::string& name, int64_t vocab_size, int64_t hidden_size, Init init);
  void list(Inventory& inventory) override { weight->list(inventory); }
  std::unique_ptr<Weight> weight;
};

/// hidden + dropout(linear(x)); one product where there is no dropout.
Tensor add_to_residual(const Linear& linear, const Tensor& x, const Tensor& hidden, float dropout, Pass& pass,
                       int layer, int use);

}  // namespace lathe
