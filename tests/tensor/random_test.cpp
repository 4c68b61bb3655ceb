#include "lathe/tensor/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace lathe {
namespace {

using Block = std::array<uint32_t, 4>;

/// Philox 4x32-10 written down from the paper, with its whole counter.
Block philox(Block counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t left = uint64_t{0xD2511F53} * counter[0], right = uint64_t{0xCD9E8D57} * counter[2];
    counter = {uint32_t(right >> 32) ^ counter[1] ^ key[0], uint32_t(right), uint32_t(left >> 32) ^ counter[3] ^ key[1],
               uint32_t(left)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

TEST(Random, GivesThePublishedNumbersForZeros) {
  EXPECT_EQ(Random(0).block(0), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

TEST(Random, IsPhiloxForEveryKeyAndCounter) {
  // The published answers (Random123's kat_vectors) hold the other half of the counter too, so they check `philox`.
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  for (uint64_t n : {uint64_t{0}, uint64_t{1}, uint64_t{0xffffffff}, uint64_t{0x100000000}, ~uint64_t{0}})
    for (uint64_t key : {uint64_t{0}, uint64_t{7}, uint64_t{0x0123456789abcdef}, ~uint64_t{0}})
      EXPECT_EQ(Random(key).block(n),
                philox({uint32_t(n), uint32_t(n >> 32), 0, 0}, {uint32_t(key), uint32_t(key >> 32)}));
}

TEST(Random, NumbersBitsAcrossBlocks) {
  Random random(3);
  for (uint64_t n = 0; n < 12; ++n) EXPECT_EQ(random.bits(n), random.block(n / 4)[n % 4]);
}

struct Moments {
  double mean = 0, variance = 0, skewness = 0, kurtosis = 0;
};

template <class Draw>
Moments moments_of(int64_t count, Draw draw) {
  Moments m;
  for (int64_t n = 0; n < count; ++n) m.mean += double(draw(uint64_t(n))) / double(count);
  for (int64_t n = 0; n < count; ++n) {
    double d = double(draw(uint64_t(n))) - m.mean;
    m.variance += d * d / double(count);
    m.skewness += d * d * d / double(count);
    m.kurtosis += d * d * d * d / double(count);
  }
  m.skewness /= std::pow(m.variance, 1.5);
  m.kurtosis /= m.variance * m.variance;
  return m;
}

constexpr int64_t kDraws = 40000;  // standard errors of a normal one: mean 0.005, variance 0.007, kurtosis 0.025

TEST(Random, DrawsUniformNumbersOfTheRightMoments) {
  Random random(11);
  Moments m = moments_of(kDraws, [&](uint64_t n) { return random.uniform(n); });
  EXPECT_NEAR(m.mean, 0.5, 0.006);
  EXPECT_NEAR(m.variance, 1.0 / 12, 0.0016);
  EXPECT_NEAR(m.kurtosis, 1.8, 0.04);
  for (uint64_t n = 0; n < 1000; ++n) {
    EXPECT_GE(random.uniform(n), 0);
    EXPECT_LT(random.uniform(n), 1);
  }
}

TEST(Random, DrawsNormalNumbersOfTheRightMoments) {
  Random random(12);
  Moments m = moments_of(kDraws, [&](uint64_t n) { return random.normal(n); });
  EXPECT_NEAR(m.mean, 0, 0.02);
  EXPECT_NEAR(m.variance, 1, 0.03);
  EXPECT_NEAR(m.skewness, 0, 0.05);
  EXPECT_NEAR(m.kurtosis, 3, 0.1);
}

TEST(Random, DrawsNormalNumbersThatDoNotFollowTheirNeighbours) {
  Random random(13);
  double sum = 0;
  for (uint64_t n = 0; n < 20000; ++n) sum += double(random.normal(n)) * double(random.normal(n + 1));
  EXPECT_NEAR(sum / 20000, 0, 0.03);
}

TEST(Random, ForksIntoStreamsOfTheirOwn) {
  Random random(1);
  std::set<uint64_t> keys = {random.key()};
  for (uint64_t number = 0; number < 1000; ++number) keys.insert(random.fork(number).key());
  for (const char* name : {"", "a", "b", "ab", "ba", "model.layers.0"}) keys.insert(random.fork(name).key());
  EXPECT_EQ(keys.size(), 1007u);
  EXPECT_EQ(Random(1).fork("a").key(), random.fork("a").key());
  EXPECT_NE(Random(2).fork("a").key(), random.fork("a").key());
  EXPECT_NE(random.fork(1).fork(2).key(), random.fork(2).fork(1).key());
}

}  // namespace
}  // namespace lathe
