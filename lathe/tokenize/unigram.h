#pragma once

#include <array>
#include <optional>
#include <vector>

#include "lathe/tokenize/prefix_trie.h"
#include "lathe/tokenize/vocabulary.h"
#include "lathe/tokenize/word_model.h"

namespace lathe::tokenize {

struct UnigramSettings {
  std::optional<TokenId> unknown;  // without it characters that no piece holds are left out
  bool byte_fallback = false;      // such characters become their bytes' tokens, <0x00> to <0xFF>
  std::vector<bool> hidden;        // tokens that text does not become, by id: control tokens
};

/// The most probable way to put a word together from pieces, each with its log probability (Kudo 2018), found by
/// Viterbi's algorithm; of equal ones the one whose last piece is longest. Neighbouring unknown characters are one
/// token.
class Unigram final : public WordModel {
 public:
  /// `vocabulary` must outlive it; `scores` are by id.
  Unigram(const Vocabulary& vocabulary, std::vector<double> scores, UnigramSettings settings);
  void encode_word(std::string_view word, std::vector<TokenId>& ids) const override;
  void encode_spans(std::string_view word, std::vector<TokenId>& ids, std::vector<size_t>& ends) const override;
  const std::vector<double>& scores() const { return scores_; }

 private:
  struct Node;
  template <class Use>
  void pieces(std::string_view word, Use use) const;
  template <class Use>
  void use_unknown(std::string_view text, size_t begin, Use use) const;

  const Vocabulary& vocabulary_;
  std::vector<double> scores_;
  UnigramSettings settings_;
  PrefixTrie trie_;
  double unknown_score_ = 0;
  std::array<TokenId, 256> bytes_;  // tokens of bytes, where there is a fallback
};

}  // namespace lathe::tokenize
