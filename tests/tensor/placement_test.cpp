#include "lathe/tensor/placement.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "lathe/tensor/arena.h"
#include "lathe/tensor/random.h"

namespace lathe {
namespace {

/// A random sequence of allocations and releases, at most `most` alive at a time.
std::vector<Lifetime> random_lifetimes(uint64_t seed, int calls, size_t most) {
  Random random(seed);
  std::vector<Lifetime> lives;
  std::vector<size_t> alive;
  for (int call = 0; call < calls; ++call) {
    uint32_t bits = random.bits(uint64_t(call));
    if (alive.size() < most && (alive.empty() || bits % 5 < 3)) {
      alive.push_back(lives.size());
      lives.push_back({int64_t(bits / 5 % 1000 + 1) * Arena::kAlignment, call});
    } else {
      size_t chosen = bits / 5 % alive.size();
      lives[alive[chosen]].freed = call;
      alive.erase(alive.begin() + int64_t(chosen));
    }
  }
  for (size_t i : alive) lives[i].freed = calls++;
  return lives;
}

bool meet(const Lifetime& a, const Lifetime& b) { return a.born < b.freed && b.born < a.freed; }

int64_t highest_live(const std::vector<Lifetime>& lives) {
  int64_t highest = 0;
  for (const Lifetime& at : lives) {
    int64_t live = 0;
    for (const Lifetime& other : lives)
      if (other.born <= at.born && at.born < other.freed) live += other.bytes;
    highest = std::max(highest, live);
  }
  return highest;
}

TEST(Place, KeepsLivesThatMeetApart) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<Lifetime> lives = random_lifetimes(seed, 300, 40);
    Placement placement = place(lives);
    for (size_t i = 0; i < lives.size(); ++i) {
      ASSERT_LE(placement.offsets[i] + lives[i].bytes, placement.reserved);
      for (size_t j = 0; j < i; ++j)
        ASSERT_TRUE(!meet(lives[i], lives[j]) || placement.offsets[i] + lives[i].bytes <= placement.offsets[j] ||
                    placement.offsets[j] + lives[j].bytes <= placement.offsets[i]);
    }
  }
}

TEST(Place, NeedsLittleMoreThanTheHighestLiveBytes) {
  double total = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<Lifetime> lives = random_lifetimes(seed, 300, 40);
    int64_t live = highest_live(lives), reserved = place(lives).reserved;
    EXPECT_GE(reserved, live);
    EXPECT_LE(double(reserved), 1.25 * double(live));  // random lifetimes; those of a training step nest
    total += double(reserved) / double(live);
  }
  EXPECT_LE(total / 20, 1.12);
}

TEST(Place, WastesNothingWhereLifetimesNest) {
  std::vector<Lifetime> lives;
  for (int i = 0; i < 50; ++i) lives.push_back({(i * 37 % 11 + 1) * Arena::kAlignment, i, 100 - i});
  EXPECT_EQ(place(lives).reserved, highest_live(lives));
}

TEST(Place, GivesLivesThatDoNotMeetTheSameBytes) {
  Placement placement = place({{512, 0, 1}, {512, 1, 2}, {256, 2, 3}});
  EXPECT_EQ(placement.offsets, (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(placement.reserved, 512);
}

TEST(Place, IsEmptyForAnEpisodeWithoutAllocations) { EXPECT_EQ(place({}).reserved, 0); }

}  // namespace
}  // namespace lathe
