// Every file of jobs/ is a job that can be planned, at once, whatever its size.
#include <gtest/gtest.h>

#include <chrono>
#include <map>

#include "lathe/train/training_plan.h"
#include "tests/support/checkout.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

/// As their authors publish them: counts of the released files; gpt-1t's by the formula of its paper and the last norm.
const std::map<std::string, int64_t>& published() {
  static const std::map<std::string, int64_t> counts = {
      {"gpt2-124m", 124'439'808},    {"gpt2-350m", 354'823'168},  {"llama-135m", 134'515'008},
      {"llama-1.1b", 1'100'048'384}, {"llama-8b", 8'030'261'248}, {"llama-70b", 70'553'706'496},
      {"gpt-1t", 1'008'038'758'400}, {"tiny-10m", 10'942'464},
  };
  return counts;
}

std::vector<fs::path> job_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(checkout() / "jobs")) files.push_back(entry.path());
  return files;
}

TEST(SlowJobs, ArePlannedWithThePublishedNumberOfWeights) {
  size_t known = 0;
  for (const fs::path& file : job_files()) {
    SCOPED_TRACE(file);
    JobSettings job = read_job(file.string());
    TrainingPlan plan = plan_training(job, planned_here({}));
    EXPECT_GT(plan.run.checkpoint_bytes, 12 * plan.run.parameters);
    EXPECT_LT(plan.run.checkpoint_bytes, 12 * plan.run.parameters + (2 << 20));
    auto count = published().find(file.stem().string());
    if (count == published().end()) continue;
    ++known;
    EXPECT_EQ(plan.run.parameters, count->second);
  }
  EXPECT_EQ(known, published().size());
}

TEST(SlowJobs, OfATrillionWeightsArePlannedAtOnceInLittleMemory) {
  for (const char* name : {"llama-70b", "gpt-1t"}) {
    JobSettings job = read_job((checkout() / "jobs" / (std::string(name) + ".toml")).string());
    auto start = std::chrono::steady_clock::now();
    TrainingPlan plan = plan_training(job, {.budget = int64_t{16} << 30});
    EXPECT_FALSE(plan.fits());
    EXPECT_THROW(require_fits(job, plan), Error);
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_LT(seconds, 3) << name << ": below 1 on a quiet machine";
    EXPECT_LT(plan.host.process, int64_t{300} << 20);
  }
}

}  // namespace
}  // namespace lathe
