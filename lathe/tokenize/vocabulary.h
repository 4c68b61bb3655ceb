#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/tokenize/packed_texts.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe::tokenize {

/// Spellings and ids of tokens, one to one; ids may have holes.
class Vocabulary {
 public:
  /// Throws Error when the id or the spelling is taken, or the id is so large that the vocabulary would be mostly
  /// holes.
  void add(std::string_view spelling, uint64_t id);
  void reserve(size_t tokens);

  std::optional<TokenId> id(std::string_view spelling) const;
  /// The spelling, until something is added; empty for a hole. `id` < size().
  std::string_view spelling(TokenId id) const { return spellings_[id]; }
  bool has(TokenId id) const { return id < used_.size() && used_[id]; }
  /// One more than the largest id.
  size_t size() const { return spellings_.size(); }
  size_t tokens() const { return tokens_; }

 private:
  /// A token in the table by spelling, which is open addressing; most searches end at the first slot, whose hash tells
  /// without a look at the spelling whether it is another token's.
  struct Slot {
    uint32_t hash = 0;
    TokenId id = kNone;
  };
  static constexpr TokenId kNone = UINT32_MAX;
  std::vector<Slot> slots_;
  size_t tokens_ = 0;
  PackedTexts spellings_;
  std::vector<bool> used_;

  void make_slots(size_t count);
  size_t slot_of(std::string_view spelling, uint32_t hash) const;
};

}  // namespace lathe::tokenize
