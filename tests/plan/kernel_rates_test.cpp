#include "lathe/plan/kernel_rates.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

MeasuredCall call(int64_t flops, int64_t bytes, double seconds, int64_t head_dim = 64) {
  return {.kernel = "attention",
          .shape = {DType::bf16, head_dim},
          .work = {.flops = flops, .bytes = bytes},
          .calls = 2,
          .seconds = seconds};
}

TEST(KernelRates, AreFoundAgainInCallsThatFollowThem) {
  std::vector<MeasuredCall> calls;
  for (int64_t flops : {int64_t{1'000'000'000}, int64_t{20'000'000'000}})
    for (int64_t bytes : {1'000'000, 300'000'000})
      calls.push_back(call(flops, bytes, 3e-6 + double(flops) / 500e12 + double(bytes) / 4000e9));
  std::vector<KernelRate> rates = fitted_rates(calls);
  ASSERT_EQ(rates.size(), 1u);
  EXPECT_NEAR(rates[0].microseconds, 3, 0.01);
  EXPECT_NEAR(rates[0].tflops, 500, 1);
  EXPECT_NEAR(rates[0].gigabytes_per_second, 4000, 8);
  EXPECT_EQ(rates[0].head_dim, 64);
}

TEST(KernelRates, LeaveOutATermThatWouldBeNegative) {
  std::vector<KernelRate> rates = fitted_rates(
      std::vector<MeasuredCall>{call(0, 1'000'000, 1e-6), call(0, 10'000'000, 20e-6), call(0, 100'000'000, 210e-6)});
  ASSERT_EQ(rates.size(), 1u);
  EXPECT_EQ(rates[0].microseconds, 0);
  EXPECT_EQ(rates[0].tflops, 0);
  EXPECT_NEAR(rates[0].gigabytes_per_second, 480, 20);
}

TEST(KernelRates, OfOneCallGiveItsTimeBack) {
  MeasuredCall only = call(7'000'000'000, 3'000'000, 50e-6);
  DeviceProfile profile = read_device_profile("h200");
  profile.kernels = fitted_rates(std::vector<MeasuredCall>{only});
  EXPECT_NEAR(at_rates(profile, only.shape)("attention", only.work), 50e-6, 1e-7);
}

TEST(KernelRates, AreThoseOfTheNearestHeadSizeAndTheJobsDtype) {
  DeviceProfile profile = read_device_profile("h200");
  profile.kernels = {{.kernel = "attention", .dtype = "bf16", .head_dim = 64, .tflops = 200},
                     {.kernel = "attention", .dtype = "bf16", .head_dim = 128, .tflops = 400},
                     {.kernel = "attention", .dtype = "f32", .head_dim = 80, .tflops = 10}};
  Work work{.flops = 4'000'000'000'000, .bytes = 0};
  EXPECT_DOUBLE_EQ(at_rates(profile, {DType::bf16, 80})("attention", work), 0.02);
  EXPECT_DOUBLE_EQ(at_rates(profile, {DType::bf16, 256})("attention", work), 0.01);
  EXPECT_DOUBLE_EQ(at_rates(profile, {DType::f32, 64})("attention", work), 0.4);
}

TEST(KernelRates, OfUnknownKernelsStayBelowTheCeilings) {
  DeviceProfile profile = read_device_profile("h200");
  profile.kernels = {{.kernel = "other", .dtype = "bf16", .tflops = 1}};
  Work work{.flops = 0, .bytes = 1'000'000'000};
  double least = roofline_seconds(work, profile.ceilings(DType::bf16));
  EXPECT_DOUBLE_EQ(at_rates(profile, {DType::bf16, 64})("copy", work),
                   1.25 * least + profile.launch_microseconds * 1e-6);
}

TEST(KernelRates, OfADataSheetAreTheH200sScaled) {
  DeviceProfile measured = read_device_profile("h200"), sheet = read_device_profile("a100-80g");
  Work traffic{.flops = 0, .bytes = int64_t{1} << 36};
  JobShape shape{DType::bf16, 64};
  double ratio = at_rates(sheet, shape)("adamw", traffic) / at_rates(measured, shape)("adamw", traffic);
  EXPECT_NEAR(ratio, 4800.0 / 2039.0, 0.01);
}

TEST(KernelRates, StretchAllTermsAlike) {
  KernelRate rate{.kernel = "matmul", .dtype = "bf16", .microseconds = 2, .tflops = 600, .gigabytes_per_second = 3000};
  stretch(rate, 1.5);
  EXPECT_DOUBLE_EQ(rate.microseconds, 3);
  EXPECT_DOUBLE_EQ(rate.tflops, 400);
  EXPECT_DOUBLE_EQ(rate.gigabytes_per_second, 2000);
}

}  // namespace
}  // namespace lathe
