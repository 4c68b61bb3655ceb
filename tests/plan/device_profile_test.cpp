#include "lathe/plan/device_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using testing::HasSubstr;

TEST(DeviceProfile, ExistsForEveryCardThatPlansAreMadeFor) {
  EXPECT_THAT(known_devices(), testing::ElementsAre("h200", "h100", "a100-80g", "rtx4090", "t4"));
  for (const std::string& name : known_devices()) {
    SCOPED_TRACE(name);
    DeviceProfile profile = read_device_profile(name);
    EXPECT_GT(profile.memory, int64_t{14} << 30);
    EXPECT_GT(profile.outside(), 0);
    EXPECT_GT(profile.ceilings(DType::f32).flops_per_second, 1e12);
    EXPECT_GT(profile.ceilings(DType::f32).bytes_per_second, 1e11);
    EXPECT_EQ(profile.estimate(), name != "h200");
  }
}

TEST(DeviceProfile, TakesOfADataSheetTheShareThatAnH200Reaches) {
  DeviceProfile measured = read_device_profile("h200"), sheet = read_device_profile("h100");
  double share = measured.measured.bf16_tflops / measured.data_sheet.bf16_tflops;
  EXPECT_LT(share, 1);
  EXPECT_DOUBLE_EQ(sheet.ceilings(DType::bf16).flops_per_second, sheet.data_sheet.bf16_tflops * share * 1e12);
}

TEST(DeviceProfile, SaysWhichCardsComputeInBf16) {
  EXPECT_FALSE(computes_in(read_device_profile("t4"), DType::bf16));
  EXPECT_TRUE(computes_in(read_device_profile("t4"), DType::f32));
  EXPECT_TRUE(computes_in(read_device_profile("a100-80g"), DType::bf16));
}

TEST(DeviceProfile, SaysWhichCardsMultiplyFp8) {
  EXPECT_FALSE(multiplies_fp8(read_device_profile("a100-80g")));
  EXPECT_TRUE(multiplies_fp8(read_device_profile("rtx4090")));
}

TEST(DeviceProfile, IsReadFromAFileAsItWasPrinted) {
  TemporaryDirectory directory;
  DeviceProfile profile = read_device_profile("h200");
  profile.name = "a card of mine";
  profile.kernels = {{.kernel = "matmul", .dtype = "bf16", .microseconds = 2.5, .tflops = 700},
                     {.kernel = "attention", .dtype = "bf16", .head_dim = 64, .gigabytes_per_second = 3000}};
  DeviceProfile read = read_device_profile(directory.file("card.toml", print_device_profile(profile)));
  EXPECT_EQ(print_device_profile(read), print_device_profile(profile));
  EXPECT_EQ(read.kernels[1].head_dim, 64);
}

TEST(DeviceProfile, NamesTheNearestOfUnknownDevices) {
  EXPECT_THAT(error_of([] { read_device_profile("a100-80gb"); }), HasSubstr("did you mean 'a100-80g'"));
}

TEST(DeviceProfile, RefusesAFileWithoutRates) {
  TemporaryDirectory directory;
  std::string card = directory.file("card.toml", "name = \"x\"\narchitecture = \"sm_90\"\nmemory = \"8GiB\"\n");
  EXPECT_THAT(error_of([&] { read_device_profile(card); }), HasSubstr("f32_tflops and gigabytes_per_second"));
  std::string wrong = directory.file("wrong.toml", "name = \"x\"\narchitecture = \"90\"\nmemory = \"8GiB\"\n");
  EXPECT_THAT(error_of([&] { read_device_profile(wrong); }), HasSubstr("must be as sm_90"));
}

TEST(DeviceProfile, OfACardNobodyKnowsIsWhatItsDriverSays) {
  DeviceProfile profile = profile_of({"NVIDIA Thing", "sm_89", int64_t{24} << 30, int64_t{20} << 30});
  EXPECT_EQ(profile.memory, int64_t{24} << 30);
  EXPECT_EQ(profile.outside(), read_device_profile("h200").outside());
  EXPECT_TRUE(computes_in(profile, DType::bf16));
}

}  // namespace
}  // namespace lathe
