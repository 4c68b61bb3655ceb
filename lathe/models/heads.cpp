#include "lathe/models/heads.h"

#include "lathe/models/norm.h"

namespace lathe {
namespace {

Linear dense(const ModelConfig& c, const std::string& name, int64_t out) {
  return Linear(
      {.in = c.hidden_size, .sections = {{name, out}}, .bias = true, .init = Init::normal(float(c.initializer_range))});
}

/// Hidden rows as they are: what embeddings are pooled from.
class HiddenHead : public Block {
 public:
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish(hidden, [](const Tensor& rows) { return rows; });
  }
  void list(Inventory&) override {}
};

/// A transformed row against every token's vector (Devlin et al. 2019, appendix A.2 of the paper and its code).
class MaskedHead : public Block {
 public:
  MaskedHead(const ModelConfig& c, const HeadNames& names, TokenTable& table)
      : table_(table),
        activation_(names.masked_activation),
        dense_(dense(c, names.masked_dense, c.hidden_size)),
        norm_(names.masked_norm, c.hidden_size, c.norm_eps),
        bias_({padded_vocabulary(c.vocab_size)}, {whole_vector(names.masked_bias, c.vocab_size)}, Init::zeros(), true) {
  }
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish(hidden, [this, &pass](const Tensor& rows) {
      return table_.weight->multiply(norm_(dense_.activated(rows, pass, activation_)), {.bias = &bias_.value});
    });
  }
  void list(Inventory& inventory) override {
    dense_.list(inventory);
    norm_.list(inventory);
    inventory.add(bias_);
    table_.list(inventory);
  }

 private:
  TokenTable& table_;
  Activation activation_;
  Linear dense_;
  LayerNorm norm_;
  Parameter bias_;
};

class SequenceHead : public Block {
 public:
  SequenceHead(const ModelConfig& c, const HeadNames& names)
      : end_(names.sequence_end),
        activation_(names.sequence_activation),
        dense_(dense(c, names.sequence_dense, c.hidden_size)),
        out_(dense(c, names.sequence_out, int64_t(c.labels.size()))) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish_sequences(pass.ends(hidden, end_), [this, &pass](const Tensor& rows) {
      return out_(dense_.activated(rows, pass, activation_), pass);
    });
  }
  void list(Inventory& inventory) override {
    dense_.list(inventory);
    out_.list(inventory);
  }

 private:
  SequenceEnd end_;
  Activation activation_;
  Linear dense_, out_;
};

/// Labels of each token: of a classifier, or whether a span begins or ends there.
class TokenHead : public Block {
 public:
  TokenHead(const ModelConfig& c, const std::string& name, int64_t labels) : out_(dense(c, name, labels)) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override {
    return pass.finish(hidden, [this, &pass](const Tensor& rows) { return out_(rows, pass); });
  }
  void list(Inventory& inventory) override { out_.list(inventory); }

 private:
  Linear out_;
};

}  // namespace

std::unique_ptr<Block> make_head(const ModelConfig& c, const HeadNames& names, TokenTable& table) {
  Task task = task_of(c);
  if (task == Task::hidden) return std::make_unique<HiddenHead>();
  if (task == Task::masked_lm && !names.masked_dense.empty()) return std::make_unique<MaskedHead>(c, names, table);
  if (task == Task::sequence_labels && !names.sequence_out.empty()) return std::make_unique<SequenceHead>(c, names);
  if (task == Task::token_labels && !names.token_out.empty())
    return std::make_unique<TokenHead>(c, names.token_out, int64_t(c.labels.size()));
  if (task == Task::spans && !names.span_out.empty()) return std::make_unique<TokenHead>(c, names.span_out, 2);
  throw Error(text(c.model_type, ": the head of architecture \"", architecture_of(c), "\" is not supported"));
}

}  // namespace lathe
