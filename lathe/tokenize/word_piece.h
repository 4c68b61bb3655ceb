#pragma once

#include <string>

#include "lathe/tokenize/prefix_trie.h"
#include "lathe/tokenize/vocabulary.h"
#include "lathe/tokenize/word_model.h"

namespace lathe::tokenize {

/// Of a word always the longest piece that comes next (Schuster and Nakajima 2012, as in BERT). A word that pieces do
/// not cover, or of more than `most_characters`, is the unknown token.
struct WordPieceSettings {
  std::string inside_prefix = "##";  // of pieces that do not begin a word
  size_t most_characters = 100;
  TokenId unknown = 0;
};

class WordPiece final : public WordModel {
 public:
  /// Words do not become tokens that are `hidden`, by id.
  WordPiece(const Vocabulary& vocabulary, WordPieceSettings settings, const std::vector<bool>& hidden);
  void encode_word(std::string_view word, std::vector<TokenId>& ids) const override;
  void encode_spans(std::string_view word, std::vector<TokenId>& ids, std::vector<size_t>& ends) const override;

 private:
  template <class Use>
  bool pieces(std::string_view word, Use use) const;

  WordPieceSettings settings_;
  PrefixTrie first_, inside_;
};

}  // namespace lathe::tokenize
