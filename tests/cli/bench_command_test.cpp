#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/checkout.h"
#include "tests/support/program.h"

namespace lathe {
namespace {

TEST(SlowBenchCommand, SaysWhatShareOfTheCeilingEachKernelOfAJobReaches) {
  ProgramResult result = run_lathe({"bench", (checkout() / "jobs/tiny-10m.toml").string(), "--set",
                                    "model.num_hidden_layers=1", "training.micro_batch=1", "--json"});
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

TEST(SlowBenchCommand, TakesOverridesOnlyOfAJob) {
  EXPECT_EQ(run_lathe({"bench", "--set", "training.micro_batch=1"}).status, 2);
}

}  // namespace
}  // namespace lathe
