#include "lathe/tensor/placement.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace lathe {
namespace {

/// A lifetime that has its place; kept side by side, sorted by offset: the search below reads them one after another.
struct Placed {
  int64_t offset, end, born, freed;
};

/// The lowest offset that no lifetime overlapping `life` occupies.
int64_t lowest_offset(const std::vector<Placed>& placed, const Lifetime& life) {
  int64_t offset = 0;
  for (const Placed& there : placed) {
    if (there.born >= life.freed || life.born >= there.freed) continue;
    if (there.offset - offset >= life.bytes) break;
    offset = std::max(offset, there.end);
  }
  return offset;
}

/// Places allocations [first, end), which no other allocation overlaps.
void place_part(const std::vector<Lifetime>& lifetimes, size_t first, size_t end, Placement& placement) {
  std::vector<size_t> order(end - first);
  std::iota(order.begin(), order.end(), first);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  std::vector<Placed> placed;
  placed.reserve(order.size());
  for (size_t i : order) {
    const Lifetime& life = lifetimes[i];
    int64_t offset = lowest_offset(placed, life);
    auto above = std::upper_bound(placed.begin(), placed.end(), offset,
                                  [](int64_t value, const Placed& there) { return value < there.offset; });
    placed.insert(above, {offset, offset + life.bytes, life.born, life.freed});
    placement.offsets[i] = offset;
    placement.reserved = std::max(placement.reserved, offset + life.bytes);
  }
}

}  // namespace

Placement place(const std::vector<Lifetime>& lifetimes) {
  Placement placement;
  placement.offsets.resize(lifetimes.size());
  placement.bytes.reserve(lifetimes.size());
  for (const Lifetime& life : lifetimes) placement.bytes.push_back(life.bytes);
  size_t first = 0;
  int64_t last_freed = 0;
  for (size_t i = 0; i < lifetimes.size(); ++i) {  // `born` rises
    if (lifetimes[i].born >= last_freed && i > first) {
      place_part(lifetimes, first, i, placement);
      first = i;
    }
    last_freed = std::max(last_freed, lifetimes[i].freed);
  }
  place_part(lifetimes, first, lifetimes.size(), placement);
  return placement;
}

}  // namespace lathe
