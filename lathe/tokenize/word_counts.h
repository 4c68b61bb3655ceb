#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "lathe/tokenize/packed_word.h"

namespace lathe::tokenize {

/// Distinct words and how often each was added: open addressing, the bytes of longer words in one pool. One thread.
class WordCounts {
 public:
  WordCounts() : slots_(kFirstSlots) {}

  void add(std::string_view word, int64_t count = 1) {
    if (word.empty()) return;
    Slot& slot = find(word);
    distinct_ += slot.count == 0;
    slot.count += count;
    if (distinct_ * 2 > slots_.size()) grow();
  }

  int64_t distinct() const { return static_cast<int64_t>(distinct_); }
  int64_t memory_bytes() const { return static_cast<int64_t>(slots_.capacity() * sizeof(Slot) + pool_.capacity()); }

  /// Calls use(word, count) for each word, in no particular order.
  template <class Use>
  void for_each(Use use) const {
    for (const Slot& slot : slots_) {
      if (slot.count == 0) continue;
      char bytes[16];
      use(word_of(slot, bytes), slot.count);
    }
  }

 private:
  /// Short words are in `key`. For the others key.low is their hash and key.high their place in the pool and kLong.
  struct Slot {
    PackedWord key;
    int64_t count = 0;
  };
  static constexpr size_t kFirstSlots = size_t{1} << 14;
  static constexpr uint64_t kLong = uint64_t{1} << 63;

  Slot& find(std::string_view word) {
    if (word.size() >= 16) return find_long(word);
    const PackedWord key = packed(word);
    const size_t mask = slots_.size() - 1;
    for (size_t i = key.hash() & mask;; i = (i + 1) & mask) {
      if (slots_[i].count == 0) slots_[i].key = key;
      if (slots_[i].key == key) return slots_[i];
    }
  }
  Slot& find_long(std::string_view word);
  std::string_view word_of(const Slot& slot, char* bytes) const;
  std::string_view pooled(uint64_t place) const;
  void grow();

  std::vector<Slot> slots_;
  std::vector<char> pool_;  // length in 8 bytes, then the word
  size_t distinct_ = 0;
};

}  // namespace lathe::tokenize
