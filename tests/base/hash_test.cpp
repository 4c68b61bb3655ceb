#include "lathe/base/hash.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(Hash, HasTheValuesThatXxhsumPrints) {
  EXPECT_EQ(hex(hash64("")), "2d06800538d394c2");
  EXPECT_EQ(hex(hash128("")), "99aa06d3014798d86001c324468d497f");
}

TEST(Hash, DependsOnTheSeed) { EXPECT_NE(hash64("abc", 1), hash64("abc")); }

TEST(Hasher, EqualsTheHashOfTheWhole) {
  std::string all;
  Hasher hasher;
  for (int i = 0; i < 200; ++i) {
    std::string piece(size_t(i * 7 % 50), char('a' + i % 26));
    hasher.add(piece);
    all += piece;
    ASSERT_EQ(hasher.digest64(), hash64(all));
    ASSERT_EQ(hasher.digest128(), hash128(all));
  }
}

TEST(Hex, WritesTheMostSignificantDigitFirst) { EXPECT_EQ(hex(uint64_t{0x1234}), "0000000000001234"); }

}  // namespace
}  // namespace lathe
