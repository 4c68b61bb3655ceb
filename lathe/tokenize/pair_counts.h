#pragma once

#include <cstdint>
#include <vector>

#include "lathe/tokenize/tokenizer.h"

namespace lathe::tokenize {

/// Two neighbouring tokens; ordered by the left, then the right id.
inline uint64_t pair_of(TokenId left, TokenId right) { return uint64_t{left} << 32 | right; }
inline TokenId left_of(uint64_t pair) { return static_cast<TokenId>(pair >> 32); }
inline TokenId right_of(uint64_t pair) { return static_cast<TokenId>(pair); }

/// How often each pair occurs: open addressing in one flat array.
class PairCounts {
 public:
  PairCounts() : slots_(size_t{1} << 16) {}

  /// The count of `pair`, 0 at first. Valid until the next call.
  int64_t& operator[](uint64_t pair) {
    if (used_ * 2 > slots_.size()) grow();
    Slot& slot = slots_[find(pair)];
    if (slot.pair == kFree) {
      slot.pair = pair;
      ++used_;
    }
    return slot.count;
  }

 private:
  static constexpr uint64_t kFree = UINT64_MAX;
  struct Slot {
    uint64_t pair = kFree;
    int64_t count = 0;
  };
  size_t find(uint64_t pair) const {
    const size_t mask = slots_.size() - 1;
    const uint64_t mixed = pair * 0x9E3779B97F4A7C15u;
    for (size_t i = (mixed ^ mixed >> 32) & mask;; i = (i + 1) & mask) {
      if (slots_[i].pair == pair || slots_[i].pair == kFree) return i;
    }
  }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.pair != kFree) slots_[find(slot.pair)] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t used_ = 0;
};

}  // namespace lathe::tokenize
