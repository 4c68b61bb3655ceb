#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lathe/tensor/accelerator.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"

namespace lathe {
namespace {

TEST(SlowBenchCommand, SaysWhatShareOfTheCeilingEachKernelOfAJobReaches) {
  ProgramResult result =
      run_lathe({"bench", (checkout() / "jobs/tiny-10m.toml").string(), "--set", "model.num_hidden_layers=1",
                 "training.micro_batch=1", "--device", "cpu", "--json"});
  ASSERT_EQ(result.status, 0) << result.errors;
  nlohmann::json steps = nlohmann::json::parse(result.output).at("steps");
  ASSERT_EQ(steps.size(), 1u);
  double matmul = 0;
  for (const auto& kernel : steps[0].at("kernels"))
    if (kernel.at("name") == "matmul") matmul = kernel.at("share_of_ceiling").get<double>();
  EXPECT_GT(matmul, 0);
  EXPECT_LT(matmul, 1);
  EXPECT_GT(steps[0].at("flop_use").get<double>(), 0);
}

TEST(SlowBenchCommand, FitsProfilesOfGpusAlone) {
  ProgramResult result = run_lathe({"bench", "--device", "cpu", "--profile", "cpu.toml"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, testing::HasSubstr("--profile is of a GPU"));
}

TEST(GpuBenchCommand, ShowsCeilingsKernelsAndThePlansEstimate) {
  if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  ProgramResult result =
      run_lathe({"bench", (checkout() / "jobs/tiny-10m.toml").string(), "--device", "cuda", "--json"});
  ASSERT_EQ(result.status, 0) << result.errors;
  nlohmann::json measured = nlohmann::json::parse(result.output);
  EXPECT_GT(measured.at("gpu").at("gigabytes_per_second").get<double>(), 100);
  const nlohmann::json& step = measured.at("steps").at(0);
  EXPECT_GT(step.at("seconds").get<double>(), 0);
  EXPECT_GT(step.at("estimated_seconds").get<double>(), 0);
}

TEST(SlowBenchCommand, TakesOverridesOnlyOfAJob) {
  EXPECT_EQ(run_lathe({"bench", "--set", "training.micro_batch=1"}).status, 2);
}

}  // namespace
}  // namespace lathe
