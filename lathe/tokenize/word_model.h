#pragma once

#include <string_view>
#include <vector>

#include "lathe/tokenize/tokenizer.h"

namespace lathe::tokenize {

/// Turns one word, as a Splitter makes them, into ids. Immutable; any thread may use it.
class WordModel {
 public:
  virtual ~WordModel() = default;
  /// Appends the ids of `word`. What the vocabulary lacks becomes the unknown token, or nothing when there is none.
  virtual void encode_word(std::string_view word, std::vector<TokenId>& ids) const = 0;
};

}  // namespace lathe::tokenize
