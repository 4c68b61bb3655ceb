#pragma once

#include <memory>
#include <string>

#include "lathe/models/config.h"
#include "lathe/models/parts.h"
#include "lathe/models/task.h"
#include "lathe/ops/activation.h"

namespace lathe {

/// What the tensors of a family's heads are called, and how its heads differ. An empty name: there is no such layer.
struct HeadNames {
  std::string masked_dense, masked_norm, masked_bias;  ///< the masked language model's, before the tied table
  std::string sequence_dense, sequence_out;            ///< of a whole sequence's labels
  std::string token_out;                               ///< of each token's labels
  std::string span_out;                                ///< of the first and last token of a span
  Activation masked_activation = Activation::gelu;
  Activation sequence_activation = Activation::tanh;
  SequenceEnd sequence_end = SequenceEnd::first;
};

/// The head for the task of `config`, on rows of its hidden_size; the masked language model's reads `table`, which
/// must outlive it. Throws Error for tasks that the names leave out.
std::unique_ptr<Block> make_head(const ModelConfig& config, const HeadNames& names, TokenTable& table);

}  // namespace lathe
