#include "lathe/tokenize/vocabulary.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "lathe/base/error.h"

namespace lathe::tokenize {

constexpr uint64_t kMostHoles = 1'000'000;

static uint32_t hash_of(std::string_view text) { return uint32_t(std::hash<std::string_view>()(text)); }

void Vocabulary::reserve(size_t tokens) {
  spellings_.reserve(tokens);
  make_slots(tokens + tokens / 3);
}

/// At least `count` slots, with all tokens there are.
void Vocabulary::make_slots(size_t count) {
  std::vector<Slot> old(std::bit_ceil(std::max<size_t>(count, 16)));
  if (old.size() <= slots_.size()) return;
  old.swap(slots_);
  for (const Slot& slot : old)
    if (slot.id != kNone) slots_[slot_of(spellings_[slot.id], slot.hash)] = slot;
}

/// Where `spelling` is, or else the empty slot where it would be.
size_t Vocabulary::slot_of(std::string_view spelling, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = hash & mask;
  while (slots_[slot].id != kNone && (slots_[slot].hash != hash || spellings_[slots_[slot].id] != spelling))
    slot = (slot + 1) & mask;
  return slot;
}

void Vocabulary::add(std::string_view spelling, uint64_t id) {
  require(id < tokens() + kMostHoles && id < UINT32_MAX, "token '", spelling, "' has id ", id, " where only ", tokens(),
          " tokens came before: more than ", kMostHoles, " ids would be unused");
  if (id >= used_.size()) used_.resize(id + 1);
  const auto place = static_cast<TokenId>(id);
  if (used_[place]) throw Error(text("tokens '", spellings_[place], "' and '", spelling, "' have the same id ", id));
  if (4 * (tokens_ + 1) > 3 * slots_.size()) make_slots(2 * slots_.size());
  const uint32_t hash = hash_of(spelling);
  Slot& slot = slots_[slot_of(spelling, hash)];
  require(slot.id == kNone, "token '", spelling, "' is there twice, with ids ", slot.id, " and ", id);
  slot = {hash, place};
  ++tokens_;
  spellings_.set(place, spelling);
  used_[place] = true;
}

std::optional<TokenId> Vocabulary::id(std::string_view spelling) const {
  if (tokens_ == 0) return std::nullopt;
  const Slot& slot = slots_[slot_of(spelling, hash_of(spelling))];
  return slot.id == kNone ? std::nullopt : std::optional<TokenId>(slot.id);
}

}  // namespace lathe::tokenize
