#include "lathe/plan/roofline.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(Roofline, TakesTheSlowerOfArithmeticAndTrafficForEachCall) {
  RehearsedPhase phase{
      .name = "forward",
      .kernels = {{"product", {.flops = 1000, .bytes = 10}, 3}, {"norm", {.flops = 10, .bytes = 500}, 2}}};
  CallSeconds estimate = at_ceilings({.flops_per_second = 100, .bytes_per_second = 50});
  EXPECT_DOUBLE_EQ(seconds_of(phase, estimate), 3 * 10.0 + 2 * 10.0);
}

TEST(Roofline, SumsPhasesOfOneName) {
  Rehearsal rehearsal;
  KernelWork product{"product", {.flops = 100, .bytes = 10}, 1};
  rehearsal.phases = {
      {"", 0, {}}, {"forward", 0, {product}}, {"backward", 4, {product, product}}, {"forward", 8, {product}}};
  std::vector<PhaseWork> works =
      work_by_phase(rehearsal, at_ceilings({.flops_per_second = 10, .bytes_per_second = 1e9}));
  ASSERT_EQ(works.size(), 2u);
  EXPECT_EQ(works[0].name, "forward");
  EXPECT_EQ(works[0].kernels, 2);
  EXPECT_DOUBLE_EQ(works[0].seconds, 20);
  EXPECT_EQ(works[1].flops, 200);
}

}  // namespace
}  // namespace lathe
