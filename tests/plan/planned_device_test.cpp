#include "lathe/plan/planned_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/error_of.h"

namespace lathe {
namespace {

TEST(PlannedDevice, ElsewhereHasAllOfItsMemory) {
  PlannedDevice planned = planned_on("rtx4090");
  EXPECT_TRUE(planned.gpu());
  EXPECT_FALSE(planned.here);
  EXPECT_EQ(planned.budget, planned.profile.memory);
  EXPECT_GT(planned.host_budget, 0);
}

TEST(PlannedDevice, HereOnACpuHasWhatIsAvailable) {
  PlannedDevice planned = planned_on("cpu");
  EXPECT_FALSE(planned.gpu());
  EXPECT_EQ(planned.name(), "this machine's CPU");
  EXPECT_GT(planned.budget, 0);
}

TEST(PlannedDevice, SaysThatAGpuWhichIsNotHereCanBePlannedForByItsKind) {
  if (!accelerators().gpus.empty()) GTEST_SKIP() << "there is a GPU here";
  EXPECT_THAT(error_of([] { planned_on("cuda"); }), testing::HasSubstr("--device h100"));
}

TEST(GpuPlannedDevice, HereHasWhatIsFreeAndWhatThisProcessTook) {
  if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  PlannedDevice planned = planned_on("cuda");
  const AcceleratorInfo& gpu = accelerators().gpus[0];
  EXPECT_GE(planned.budget, gpu.free_bytes);
  EXPECT_LE(planned.budget, gpu.memory_bytes);
  EXPECT_EQ(planned.profile.name, gpu.name);
}

}  // namespace
}  // namespace lathe
