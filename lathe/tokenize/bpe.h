#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "lathe/tokenize/merge_table.h"
#include "lathe/tokenize/vocabulary.h"
#include "lathe/tokenize/word_model.h"

namespace lathe::tokenize {

/// How words become the symbols that merging starts from.
struct BpeSettings {
  bool bytes = true;               // a symbol is a byte, spelt as in byte_alphabet.h; else a character
  std::string end_of_word_suffix;  // joined to the last symbol of a word
  std::optional<TokenId> unknown;  // stands for symbols that the vocabulary lacks; without it they vanish
  bool fuse_unknown = false;       // neighbouring unknown symbols become one token
  bool whole_words_first = false;  // a word that is a token needs no merging ("ignore_merges")
};

/// Byte pair encoding (Sennrich et al. 2016): of all neighbouring pairs the one of the lowest rank, the leftmost of
/// them, is merged until no pair has a rule.
class Bpe final : public WordModel {
 public:
  /// `vocabulary` must outlive it.
  Bpe(const Vocabulary& vocabulary, BpeSettings settings, MergeTable merges);
  void encode_word(std::string_view word, std::vector<TokenId>& ids) const override;

 private:
  static constexpr TokenId kNone = UINT32_MAX;
  void learn_symbols();
  TokenId symbol(uint32_t code, bool last) const;
  void append_symbols(std::string_view word, std::vector<TokenId>& ids) const;
  void append_known(TokenId id, bool& unknown_before, std::vector<TokenId>& ids) const;
  size_t merge_short(TokenId* ids, size_t count) const;
  size_t merge_long(TokenId* ids, size_t count) const;

  const Vocabulary& vocabulary_;
  BpeSettings settings_;
  MergeTable merges_;
  std::array<TokenId, 256> bytes_{};
  std::unordered_map<uint32_t, TokenId> characters_, last_characters_;
};

}  // namespace lathe::tokenize
