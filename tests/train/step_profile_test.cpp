#include "lathe/train/step_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/plan/ceilings.h"
#include "tests/support/checkout.h"
#include "tests/train/train_support.h"

namespace lathe {
namespace {

TEST(SlowStepProfile, CountsEveryKernelOfTheStepThatWasRehearsed) {
  JobSettings job = test::small_job("llama");
  job.training.accumulation = 2;
  Ceilings ceilings = measured_ceilings(job.compute());
  StepProfile profile = profile_step(job, ceilings);
  WorkTotals counted;
  double seconds = 0;
  for (const KernelTime& kernel : profile.kernels) {
    counted.kernels += kernel.calls;
    counted.flops += kernel.flops;
    counted.bytes_moved += kernel.bytes;
    seconds += kernel.seconds;
  }
  EXPECT_EQ(counted, rehearse_run(job).of("step").work);
  EXPECT_LE(seconds, profile.seconds);
  EXPECT_GT(seconds, 0);
  EXPECT_GT(profile.flop_use(ceilings), 0);
  EXPECT_LT(profile.flop_use(ceilings), 1);
}

TEST(SlowStepProfile, RefusesAStepThatMemoryDoesNotHold) {
  try {
    profile_step(read_job((checkout() / "jobs/gpt-1t.toml").string()), {1e9, 1e9});
    FAIL() << "it cannot fit";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("lathe plan"));
  }
}

}  // namespace
}  // namespace lathe
