#include "lathe/data/sample_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/data/data_support.h"
#include "tests/support/error_of.h"

namespace lathe::data {
namespace {

TEST(Permutation, VisitsEveryIndexOnce) {
  for (uint64_t size : {1, 2, 3, 5, 64, 1000, 4097}) {
    const Permutation permutation(size, 7);
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < size; ++i) seen.insert(permutation(i));
    EXPECT_EQ(seen.size(), size);
    EXPECT_EQ(*seen.rbegin(), size - 1);
  }
}

TEST(Permutation, MovesNeighboursApart) {
  const uint64_t size = 100000;
  const Permutation permutation(size, 1);
  double moved = 0;
  for (uint64_t i = 0; i < size; ++i)
    moved += std::abs(static_cast<double>(permutation(i)) - static_cast<double>(i)) / static_cast<double>(size);
  EXPECT_NEAR(moved / static_cast<double>(size), 1.0 / 3, 0.01);  // as for uniform random places
}

TEST(Permutation, DiffersByKey) {
  const Permutation first(1000, 1), second(1000, 2);
  int equal = 0;
  for (uint64_t i = 0; i < 1000; ++i) equal += first(i) == second(i);
  EXPECT_LT(equal, 10);
}

TEST(Mixture, GivesEachCorpusItsShareAndEachSampleOnce) {
  const Mixture mixture({1, 3, 0.5}, 42);
  std::vector<std::set<int64_t>> seen(3);
  for (int64_t i = 0; i < 2 * Mixture::kBlock; ++i) {
    const Mixture::Pick pick = mixture.pick(i);
    EXPECT_TRUE(seen[static_cast<size_t>(pick.corpus)].insert(pick.number).second);
  }
  EXPECT_NEAR(static_cast<double>(seen[1].size()) / static_cast<double>(seen[0].size()), 3, 0.001);
  EXPECT_NEAR(static_cast<double>(seen[2].size()) / static_cast<double>(seen[0].size()), 0.5, 0.001);
  for (const auto& numbers : seen) EXPECT_EQ(*numbers.rbegin(), static_cast<int64_t>(numbers.size()) - 1);
}

TEST(Mixture, KeepsTheSharesInAnyStretch) {
  const Mixture mixture({1, 1}, 3);
  int first = 0;
  for (int64_t i = 5000; i < 6000; ++i) first += mixture.pick(i).corpus == 0;
  EXPECT_NEAR(first, 500, 60);
}

TEST(Mixture, GivesATinyWeightItsPlaceInEachBlock) {
  const Mixture mixture({1, 1e-9}, 3);
  int tiny = 0;
  for (int64_t i = 0; i < Mixture::kBlock; ++i) tiny += mixture.pick(i).corpus == 1;
  EXPECT_EQ(tiny, 1);
}

TEST(Mixture, RejectsAWeightOfZero) {
  EXPECT_NE(error_of([] { Mixture({1, 0}, 1); }).find("weight 0"), std::string::npos);
}

TEST(WindowOrder, ReadsEveryWindowOnceAnEpochInAnotherOrder) {
  const WindowOrder order(1007, 10, 5, "corpus");
  ASSERT_EQ(order.windows_per_epoch(), 100);
  std::vector<std::vector<int64_t>> epochs(2);
  for (int64_t i = 0; i < 200; ++i)
    epochs[static_cast<size_t>(order.window(i).epoch)].push_back(order.window(i).first_token);
  EXPECT_NE(epochs[0], epochs[1]);
  for (auto& starts : epochs) {
    std::sort(starts.begin(), starts.end());
    for (size_t i = 1; i < starts.size(); ++i) EXPECT_EQ(starts[i] - starts[i - 1], 10);
    EXPECT_GE(starts.front(), 0);
    EXPECT_LT(starts.back() + 10, 1007);
  }
}

TEST(WindowOrder, RejectsACorpusShorterThanOneSequence) {
  const std::string said = error_of([] { WindowOrder(10, 10, 1, "books (train)"); });
  EXPECT_NE(said.find("books (train) holds 10 tokens, fewer than one sequence of 10"), std::string::npos) << said;
  EXPECT_EQ(error_of([] { WindowOrder(11, 10, 1, "books"); }), "");
}

}  // namespace
}  // namespace lathe::data
