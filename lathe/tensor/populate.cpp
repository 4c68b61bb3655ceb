#include "lathe/tensor/populate.h"

#include <algorithm>
#include <cstddef>

#include "lathe/tensor/runtime.h"

namespace lathe {

void populate(int64_t bytes) {
  constexpr int64_t kHugePage = 2 << 20;
  const Runtime& runtime = Runtime::current();
  const Arena& arena = runtime.arena;
  if (!arena.base() || runtime.accelerator) return;
  const auto base = int64_t(reinterpret_cast<intptr_t>(arena.base()));
  const int64_t first = (base + arena.kept_end() + kHugePage - 1) / kHugePage * kHugePage - base;
  const int64_t end = std::min(arena.kept_end() + bytes, arena.capacity());
#pragma omp parallel for schedule(dynamic)
  for (int64_t page = first; page < end; page += kHugePage)
    *static_cast<volatile std::byte*>(arena.base() + page) = std::byte(0);
}

}  // namespace lathe
