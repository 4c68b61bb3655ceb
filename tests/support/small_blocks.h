#pragma once

#include <string>
#include <vector>

#include "lathe/models/parts.h"
#include "lathe/ops/rms_norm.h"

namespace lathe {

constexpr int64_t kSmallHidden = 16, kSmallHeads = 2, kSmallVocabulary = 24;

/// What small models of tests are made of.
class SmallNorm : public Module {
 public:
  explicit SmallNorm(const std::string& name)
      : weight_({kSmallHidden}, {whole_vector(name, kSmallHidden)}, Init::ones(), true) {}
  Tensor operator()(const Tensor& x) const { return rms_norm(x, weight_.value, 1e-5f); }
  void list(Inventory& inventory) override { inventory.add(weight_); }

 private:
  Parameter weight_;
};

/// Weights large enough that every gradient is well above rounding.
inline Linear small_linear(int64_t in, std::vector<Section> sections, bool bias = false) {
  return Linear({.in = in, .sections = std::move(sections), .bias = bias, .init = Init::normal(0.3f)});
}

class SmallEmbedding : public Block {
 public:
  explicit SmallEmbedding(TokenTable& table) : table_(table) {}
  Tensor forward(const Tensor&, Pass& pass) override { return table_.weight->rows(pass.tokens()); }
  void list(Inventory& inventory) override { table_.list(inventory); }

 private:
  TokenTable& table_;
};

class SmallHead : public Block {
 public:
  explicit SmallHead(TokenTable& table) : table_(table) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish(hidden, [this](const Tensor& rows) { return table_.weight->multiply(norm_(rows), {}); });
  }
  void list(Inventory& inventory) override {
    norm_.list(inventory);
    table_.list(inventory);
  }

 private:
  TokenTable& table_;
  SmallNorm norm_{"head.norm"};
};

inline std::unique_ptr<TokenTable> small_table() {
  return std::make_unique<TokenTable>("table", kSmallVocabulary, kSmallHidden, Init::normal(0.5f));
}

}  // namespace lathe
