#pragma once

#include <cstdint>
#include <vector>

#include "lathe/tokenize/tokenizer.h"

namespace lathe::tokenize {

/// What a pair of neighbouring tokens becomes and how early.
struct MergeRule {
  uint32_t rank;
  TokenId result;
};
constexpr uint32_t kNoRank = UINT32_MAX;

/// Merge rules by pair: open addressing in one flat array.
class MergeTable {
 public:
  explicit MergeTable(size_t rules);

  /// A later rule for the same pair replaces the earlier one.
  void add(TokenId left, TokenId right, MergeRule rule);

  /// The rule of a pair; its rank is kNoRank when there is none.
  MergeRule find(TokenId left, TokenId right) const {
    const uint64_t key = key_of(left, right);
    for (size_t slot = slot_of(key);; slot = (slot + 1) & mask_) {
      if (slots_[slot].key == key) return slots_[slot].rule;
      if (slots_[slot].key == kEmpty) return {kNoRank, 0};
    }
  }

 private:
  struct Slot {
    uint64_t key;
    MergeRule rule;
  };
  static constexpr uint64_t kEmpty = UINT64_MAX;
  static uint64_t key_of(TokenId left, TokenId right) { return uint64_t{left} << 32 | right; }
  size_t slot_of(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u) >> shift_; }

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  int shift_ = 0;
};

}  // namespace lathe::tokenize
