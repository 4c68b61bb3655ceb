#include "lathe/tokenize/merge_table.h"

#include <bit>

namespace lathe::tokenize {

MergeTable::MergeTable(size_t rules) {
  const size_t slots = std::bit_ceil(rules + rules / 2 + 16);
  slots_.assign(slots, {kEmpty, {kNoRank, 0}});
  mask_ = slots - 1;
  shift_ = 64 - std::countr_zero(slots);
}

void MergeTable::add(TokenId left, TokenId right, MergeRule rule) {
  const uint64_t key = key_of(left, right);
  size_t slot = slot_of(key);
  while (slots_[slot].key != kEmpty && slots_[slot].key != key) slot = (slot + 1) & mask_;
  slots_[slot] = {key, rule};
}

}  // namespace lathe::tokenize
