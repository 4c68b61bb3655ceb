#include "lathe/tokenize/word_counts.h"

#include "lathe/base/hash.h"

namespace lathe::tokenize {

std::string_view WordCounts::pooled(uint64_t place) const {
  uint64_t size;
  std::memcpy(&size, pool_.data() + place, sizeof(size));
  return {pool_.data() + place + sizeof(size), size};
}

WordCounts::Slot& WordCounts::find_long(std::string_view word) {
  const uint64_t hash = hash64(word);
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    Slot& slot = slots_[i];
    if (slot.count == 0) {
      slot.key = {hash, kLong | pool_.size()};
      const uint64_t size = word.size();
      const char* size_bytes = reinterpret_cast<const char*>(&size);
      pool_.insert(pool_.end(), size_bytes, size_bytes + sizeof(size));
      pool_.insert(pool_.end(), word.begin(), word.end());
      return slot;
    }
    if (slot.key.low == hash && (slot.key.high & kLong) && pooled(slot.key.high & ~kLong) == word) return slot;
  }
}

std::string_view WordCounts::word_of(const Slot& slot, char* bytes) const {
  if (slot.key.high & kLong) return pooled(slot.key.high & ~kLong);
  std::memcpy(bytes, &slot.key, 16);
  return {bytes, slot.key.high >> 56};
}

void WordCounts::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.count == 0) continue;
    size_t i = ((slot.key.high & kLong) ? slot.key.low : slot.key.hash()) & mask;
    while (slots_[i].count != 0) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

}  // namespace lathe::tokenize
