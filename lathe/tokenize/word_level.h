#pragma once

#include "lathe/tokenize/vocabulary.h"
#include "lathe/tokenize/word_model.h"

namespace lathe::tokenize {

/// A word is a token or unknown.
class WordLevel final : public WordModel {
 public:
  /// `vocabulary` must outlive it.
  WordLevel(const Vocabulary& vocabulary, TokenId unknown) : vocabulary_(vocabulary), unknown_(unknown) {}
  void encode_word(std::string_view word, std::vector<TokenId>& ids) const override {
    ids.push_back(vocabulary_.id(word).value_or(unknown_));
  }
  void encode_spans(std::string_view word, std::vector<TokenId>& ids, std::vector<size_t>& ends) const override {
    encode_word(word, ids);
    ends.push_back(word.size());
  }

 private:
  const Vocabulary& vocabulary_;
  TokenId unknown_;
};

}  // namespace lathe::tokenize
