#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "lathe/tokenize/merge_table.h"
#include "lathe/tokenize/vocabulary.h"
#include "lathe/tokenize/word_model.h"

namespace lathe::tokenize {

/// How words become the symbols that merging starts from.
struct BpeSettings {
  bool bytes = true;               // a symbol is a byte, spelt as in byte_alphabet.h; else a character
  std::string inside_prefix;       // put before each symbol but a word's first
  std::string end_of_word_suffix;  // joined to the last symbol of a word
  std::optional<TokenId> unknown;  // stands for symbols that the vocabulary lacks; without it they vanish
  bool byte_fallback = false;      // symbols that the vocabulary lacks become tokens of their bytes, <0x00> to <0xFF>
  bool fuse_unknown = false;       // neighbouring unknown symbols become one token
  bool whole_words_first = false;  // a word that is a token needs no merging ("ignore_merges")
  std::vector<bool> hidden;        // tokens, by id, that no word is as a whole
};

/// Byte pair encoding (Sennrich et al. 2016): of all neighbouring pairs the one of the lowest rank, the leftmost of
/// them, is merged until no pair has a rule.
class Bpe final : public WordModel {
 public:
  /// `vocabulary` must outlive it.
  Bpe(const Vocabulary& vocabulary, BpeSettings settings, MergeTable merges);
  void encode_word(std::string_view word, std::vector<TokenId>& ids) const override;
  void encode_spans(std::string_view word, std::vector<TokenId>& ids, std::vector<size_t>& ends) const override;
  std::array<bool, 256> cuts_before(std::string_view mark) const override;
  const MergeTable& merges() const { return merges_; }

 private:
  static constexpr TokenId kNone = UINT32_MAX;
  /// By place in a word: [not the first][the last].
  using CharacterTable = std::unordered_map<uint32_t, TokenId>;
  void learn_symbols();
  TokenId symbol(uint32_t code, bool first, bool last) const;
  std::optional<TokenId> whole_word(std::string_view word) const;
  template <class Use>
  void symbols(std::string_view word, Use use) const;
  template <class Use>
  bool use_bytes(std::string_view character, size_t begin, Use use) const;
  size_t merge_short(TokenId* ids, size_t count) const;
  size_t merge_long(TokenId* ids, size_t count, size_t* ends) const;

  const Vocabulary& vocabulary_;
  BpeSettings settings_;
  MergeTable merges_;
  std::array<TokenId, 256> bytes_{};       // of byte-level kinds, or those that characters fall back to
  std::array<TokenId, 256> last_bytes_{};  // of byte-level kinds, at the end of a word
  CharacterTable characters_[2][2];
};

}  // namespace lathe::tokenize
