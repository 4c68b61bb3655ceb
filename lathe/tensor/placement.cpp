#include "lathe/tensor/placement.h"

#include <algorithm>
#include <numeric>

namespace lathe {

Placement place(const std::vector<Lifetime>& lifetimes) {
  Placement placement;
  placement.offsets.resize(lifetimes.size());
  placement.bytes.reserve(lifetimes.size());
  for (const Lifetime& life : lifetimes) placement.bytes.push_back(life.bytes);
  std::vector<size_t> order(lifetimes.size()), placed;
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  auto lower = [&](size_t a, size_t b) { return placement.offsets[a] < placement.offsets[b]; };
  for (size_t i : order) {  // `placed` stays sorted by offset
    const Lifetime& life = lifetimes[i];
    int64_t offset = 0;
    for (size_t other : placed) {
      const Lifetime& there = lifetimes[other];
      if (there.born >= life.freed || life.born >= there.freed) continue;
      if (placement.offsets[other] - offset >= life.bytes) break;
      offset = std::max(offset, placement.offsets[other] + there.bytes);
    }
    placement.offsets[i] = offset;
    placement.reserved = std::max(placement.reserved, offset + life.bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i, lower), i);
  }
  return placement;
}

}  // namespace lathe
