#pragma once

#include <cstdint>
#include <vector>

namespace lathe {

enum class Purpose : uint8_t;

/// One allocation of an episode, in call order; `born` and `freed` count arena calls.
struct Lifetime {
  int64_t bytes = 0;
  int64_t born = 0;
  int64_t freed = INT64_MAX;
  Purpose purpose{};
};

/// Offsets for the same sequence of allocations, chosen with all lifetimes known.
struct Placement {
  std::vector<int64_t> bytes;
  std::vector<int64_t> offsets;
  int64_t reserved = 0;  ///< bytes the episode needs above what is live when it begins
};

/// Largest first, each at the lowest offset that no overlapping lifetime occupies (Pisarchyk & Lee 2020). Takes time
/// quadratic in the allocations of a stretch in which something is always live (a micro-batch), linear in stretches.
Placement place(const std::vector<Lifetime>& lifetimes);

}  // namespace lathe
