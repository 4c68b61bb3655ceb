#include "lathe/ops/alibi.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/ops/elementwise.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

TEST(Alibi, HasTheSlopesOfThePaper) {
  for (int64_t head = 0; head < 8; ++head) EXPECT_DOUBLE_EQ(alibi_slope(head, 8), std::exp2(-double(head + 1)));
  EXPECT_DOUBLE_EQ(alibi_slope(0, 16), std::exp2(-0.5));
}

TEST(Alibi, TakesOtherSlopesWhereHeadsAreNoPowerOfTwo) {
  EXPECT_DOUBLE_EQ(alibi_slope(1, 3), std::exp2(-8.0));
  EXPECT_DOUBLE_EQ(alibi_slope(2, 3), std::exp2(-2.0));
  EXPECT_DOUBLE_EQ(alibi_slope(9, 12), std::exp2(-1.5));
}

TEST(Alibi, FallsWithDistance) {
  Runtime runtime({}, 1 << 20);
  EXPECT_EQ(values_of(alibi(8, 1, 2, 3, 2)), (std::vector<float>{-1, -0.5f, 0, -0.5f, -0.25f, 0}));
  EXPECT_THROW(alibi(8, 7, 2, 3, 1), Error);
}

TEST(Alibi, KeepsThePromisesOfAnOp) {
  auto op = [](std::span<const Tensor> x) { return add(x[0], alibi(12, 3, 6, 50, 0.5f)); };
  check_op("alibi", {{{6, 50}}}, op, {.dtypes = {DType::f32}});
}

}  // namespace
}  // namespace lathe
