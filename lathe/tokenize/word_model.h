#pragma once

#include <array>
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
  /// As encode_word(), and appends for each id where in `word` its bytes end.
  virtual void encode_spans(std::string_view word, std::vector<TokenId>& ids, std::vector<size_t>& ends) const = 0;
  /// Behind which bytes text that is one word may be cut before `mark` without changing its ids.
  virtual std::array<bool, 256> cuts_before(std::string_view) const { return {}; }
};

}  // namespace lathe::tokenize
