#include <gtest/gtest.h>

#include <algorithm>

#include "lathe/tensor/placement.h"
#include "lathe/tensor/random.h"

namespace lathe {
namespace {

/// `rounds` times the same: pieces of random size and life, of which none outlives its round.
std::vector<Lifetime> rounds_of_pieces(int64_t rounds, int64_t pieces) {
  std::vector<Lifetime> lifetimes;
  Random random(3);
  for (int64_t round = 0; round < rounds; ++round)
    for (int64_t i = 0; i < pieces; ++i) {
      uint32_t bits = random.bits(uint64_t(i));
      int64_t left = pieces - i;
      int64_t start = round * 2 * pieces;
      lifetimes.push_back({256 * (1 + bits % 64), start + i, start + pieces + 1 + int64_t(bits >> 8) % left, {}});
    }
  return lifetimes;
}

bool overlap_in_time(const Lifetime& a, const Lifetime& b) { return a.born < b.freed && b.born < a.freed; }

TEST(Placement, NeverPutsTwoLivePiecesOnTheSameBytes) {
  std::vector<Lifetime> lifetimes = rounds_of_pieces(3, 60);
  Placement placement = place(lifetimes);
  for (size_t a = 0; a < lifetimes.size(); ++a)
    for (size_t b = 0; b < a; ++b) {
      if (!overlap_in_time(lifetimes[a], lifetimes[b])) continue;
      EXPECT_TRUE(placement.offsets[a] + lifetimes[a].bytes <= placement.offsets[b] ||
                  placement.offsets[b] + lifetimes[b].bytes <= placement.offsets[a]);
    }
}

TEST(Placement, PlacesEveryRoundAsTheFirst) {
  Placement one = place(rounds_of_pieces(1, 80)), three = place(rounds_of_pieces(3, 80));
  EXPECT_EQ(one.reserved, three.reserved);
  for (size_t i = 0; i < three.offsets.size(); ++i) EXPECT_EQ(three.offsets[i], one.offsets[i % 80]);
}

}  // namespace
}  // namespace lathe
