#include "lathe/plan/gpu_ceilings.h"

#include <gtest/gtest.h>

#include "lathe/plan/gpu_gauge.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

TEST(CeilingsOfAGpu, AreTheBestOfWhatWasMeasured) {
  GpuCeilings ceilings{.products = {{DType::bf16, 4096, 700}, {DType::bf16, 8192, 780}, {DType::f32, 4096, 50}},
                       .gigabytes_per_second = 4000,
                       .launch_microseconds = 2};
  EXPECT_EQ(ceilings.rates().bf16_tflops, 780);
  EXPECT_EQ(ceilings.of(DType::f32).flops_per_second, 50e12);
  EXPECT_EQ(ceilings.of(DType::f32).bytes_per_second, 4000e9);
}

TEST(GpuCeilings, OfAGpuAreMeasuredAndBelowItsDataSheet) {
  if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  GpuCeilings ceilings = measured_gpu_ceilings({.backend = Backend::cuda});
  DeviceRates sheet = profile_here({.backend = Backend::cuda}).data_sheet;
  EXPECT_GT(ceilings.launch_microseconds, 0.1);
  EXPECT_LT(ceilings.launch_microseconds, 20);
  if (sheet.gigabytes_per_second == 0) return;
  EXPECT_GT(ceilings.gigabytes_per_second, 0.5 * sheet.gigabytes_per_second);
  EXPECT_LT(ceilings.gigabytes_per_second, sheet.gigabytes_per_second);
  EXPECT_GT(ceilings.rates().bf16_tflops, 0.5 * sheet.bf16_tflops);
  EXPECT_LT(ceilings.rates().bf16_tflops, sheet.bf16_tflops);
}

TEST(GpuGauge, TellsHowLongTheDeviceWaits) {
  if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  Runtime runtime({.backend = Backend::cuda}, 1 << 20);
  std::unique_ptr<GpuGauge> gauge = gpu_gauge(runtime);
  gauge->mark();
  gauge->hold(0.01);
  gauge->mark();
  std::vector<double> laps = gauge->laps();
  ASSERT_EQ(laps.size(), 1u);
  EXPECT_NEAR(laps[0], 0.01, 0.002);
  EXPECT_GT(gauge->free_bytes(), 0);
}

}  // namespace
}  // namespace lathe
