#include "lathe/ops/softcap.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/ops/elementwise.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

TEST(Softcap, KeepsThePromisesOfAnOp) {
  auto op = [](std::span<const Tensor> x) { return softcap(x[0], 0.8f); };
  check_op("softcap", {{{5, 19}}}, op);
  check_op("softcap", {{{301, 131}}}, op, kParallel);
  check_op("softcap in place", {{{5, 19}}}, [](std::span<const Tensor> x) { return softcap(scale(x[0], 2), 0.8f); });
}

TEST(Softcap, BendsIntoItsBounds) {
  Runtime runtime({}, 1 << 20);
  std::vector<float> y = values_of(softcap(tensor_of({3}, {-1000, 1, 1000}), 30));
  EXPECT_FLOAT_EQ(y[0], -30);
  EXPECT_NEAR(y[1], 30 * std::tanh(1.0 / 30), 1e-6);
  EXPECT_FLOAT_EQ(y[2], 30);
  EXPECT_THROW(softcap(tensor_of({1}, {1}), 0), Error);
}

}  // namespace
}  // namespace lathe
