#pragma once

#include <string>
#include <vector>

#include "lathe/infer/text_reader.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe {

/// A token that could stand at a mask.
struct MaskChoice {
  TokenId token;
  float probability;
};

/// Says what a masked language model takes the masked tokens of a text for. One thread; as TextReader, the newest
/// object is the one to use.
class MaskFiller {
 public:
  /// Throws Error when the model has no masked language model's head, or as TextReader does. `most_masks` in a text.
  MaskFiller(const TensorFiles& files, const ModelConfig& config, TextReader::Options options, int64_t most_masks);

  /// For each occurrence of `mask` in `tokens`, in order, the `count` likeliest of all tokens, likeliest first. Throws
  /// Error when there is none, or more than there is room for.
  std::vector<std::vector<MaskChoice>> fill(std::span<const TokenId> tokens, TokenId mask, int64_t count);

 private:
  int64_t most_masks_, vocabulary_;
  std::vector<std::vector<float>> logits_;  ///< of the last pass: a row a mask
  TextReader reader_;
};

}  // namespace lathe
