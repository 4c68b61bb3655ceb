#include "lathe/plan/ceilings.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/base/threads.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

/// Every element after `rounds` rounds from zero; they must all be alike.
float after(int64_t rounds, bool pairs) {
  Runtime runtime({}, 1 << 20);
  Tensor values = zeros({kPeakLanes});
  peak_kernel({}, rounds, pairs, values);
  for (int64_t i = 1; i < kPeakLanes; ++i) EXPECT_EQ(values.data<float>()[i], values.data<float>()[0]);
  return values.data<float>()[0];
}

TEST(Ceilings, DoTheMultiplyAddsThatTheyCount) {
  Isa before = isa();
  for (Isa variant : {Isa::plain, Isa::avx2, Isa::avx512}) {
    if (!isa_available(variant)) continue;
    set_isa(variant);
    EXPECT_FLOAT_EQ(after(1, false), 1e-3f) << isa_name(variant);
    EXPECT_FLOAT_EQ(after(3, false), 1.75e-3f) << isa_name(variant);
  }
  if (isa_available(Isa::avx512)) {
    EXPECT_NEAR(after(100, true), 100 * 0.5 * 1e-3, 100 * 0.5e-3 / 256);
  }
  set_isa(before);
}

TEST(SlowCeilings, RiseWithTheThreadsAndAreNoLessInBf16) {
  int before = threads();
  set_threads(1);
  Ceilings one = measured_ceilings(DType::f32);
  set_threads(2);
  Ceilings two = measured_ceilings(DType::f32), pairs = measured_ceilings(DType::bf16);
  set_threads(before);
  EXPECT_GT(one.flops_per_second, 1e8);
  EXPECT_GT(one.bytes_per_second, 1e8);
  EXPECT_GT(measured_read_rate(), 1e8);
  if (available_threads() >= 2) {
    EXPECT_GT(two.flops_per_second, 1.2 * one.flops_per_second);
  }
  EXPECT_GT(pairs.flops_per_second, 0.7 * two.flops_per_second);
}

}  // namespace
}  // namespace lathe
