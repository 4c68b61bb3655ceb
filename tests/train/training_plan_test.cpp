#include "lathe/train/training_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/train/advice.h"
#include "tests/train/train_support.h"

namespace lathe {
namespace {

using testing::HasSubstr;
using Checkpoint = TrainingSettings::Checkpoint;

/// Enough tokens that activations outweigh the weights.
JobSettings wide_batch() {
  JobSettings job = test::small_job("llama");
  job.model.max_position_embeddings = 512;
  job.training.sequence_length = 512;
  job.training.micro_batch = 8;
  return resolved(job);
}

/// A plan whose budget is `share` of what it needs, without what this process happens to hold.
TrainingPlan plan_within(const JobSettings& job, double share) {
  TrainingPlan plan = plan_training(job, planned_here({}));
  plan.on.budget = plan.host.total() + int64_t(share * double(plan.run.capacity()));
  return plan;
}

JobSettings with(JobSettings job, const Advice& advice) {
  std::string text = print_settings(job, JobSettings::kFormat);
  return resolved(read_settings<JobSettings>({.name = "job", .text = text, .overrides = advice.overrides}));
}

TEST(SlowTrainingPlan, ShowsEveryEpisodeAndTheWholeSum) {
  JobSettings job = wide_batch();
  TrainingPlan plan = plan_within(job, 1.5);
  EXPECT_TRUE(plan.fits());
  std::string shown = plan_text(job, plan);
  for (const char* part : {"step", "evaluation", "save", "kept between", "batches of the data loader", "it fits",
                           "forward", "backward", "update", "estimate"})
    EXPECT_THAT(shown, HasSubstr(part));
}

TEST(TrainingPlan, RefusesFp8WhereACardHasNone) {
  RunRehearsal run;
  run.episodes.push_back({"step", {}});
  run.episodes[0].rehearsal.phases = {{"forward", 0, {{"matmul_fp8", {}, 1}}}};
  require_multiplies(planned_on("h100"), run);
  EXPECT_THROW(require_multiplies(planned_on("a100-80g"), run), Error);
}

TEST(SlowTrainingPlan, CountsPhasesThatMakeUpTheStep) {
  JobSettings job = wide_batch();
  TrainingPlan plan = plan_within(job, 1.5);
  int64_t flops = 0, kernels = 0;
  for (const PhaseWork& work : work_by_phase(plan.run.of("step"), plan.estimate)) {
    flops += work.flops;
    kernels += work.kernels;
  }
  EXPECT_EQ(flops, plan.run.of("step").work.flops);
  EXPECT_EQ(kernels, plan.run.of("step").work.kernels);
}

class EveryBudget : public testing::TestWithParam<int> {};

TEST_P(EveryBudget, IsMetByTheSettingsThatAreProposed) {
  JobSettings job = wide_batch();
  TrainingPlan plan = plan_within(job, GetParam() / 100.0);
  ASSERT_FALSE(plan.fits());
  std::optional<Advice> advice = advise(job, plan).fitting;
  ASSERT_TRUE(advice);
  JobSettings other = with(job, *advice);
  EXPECT_EQ(other.tokens_per_step(), job.tokens_per_step());
  RunRehearsal run = rehearse_run(other);
  EXPECT_LE(run.capacity() + host_memory(other, run, plan.on).batches, plan.on.budget - plan.host.process);
}

INSTANTIATE_TEST_SUITE_P(SlowAdvice, EveryBudget, testing::Values(90, 60, 30, 15));

TEST(SlowAdvice, PrefersWhatCostsLeast) {
  JobSettings job = wide_batch();
  Advice gentle = advise(job, plan_within(job, 0.9)).fitting.value();
  Advice harsh = advise(job, plan_within(job, 0.15)).fitting.value();
  EXPECT_LT(gentle.slowdown, 1.2);
  EXPECT_LE(gentle.slowdown, harsh.slowdown);
  EXPECT_EQ(with(job, gentle).training.sequence_length, job.training.sequence_length);
}

TEST(SlowAdvice, SaysWhenNothingHelpsAndWhatTheLeastIs) {
  JobSettings job = wide_batch();
  TrainingPlan plan = plan_within(job, 0.001);
  EXPECT_FALSE(advise(job, plan).fitting);
  Advice least = advise(job, plan).least;
  EXPECT_LT(least.bytes, plan.needed());
  EXPECT_EQ(with(job, least).training.micro_batch, 1);
  EXPECT_EQ(with(job, least).training.checkpoint, Checkpoint::block);
  EXPECT_THAT(advice_text(advise(job, plan)), HasSubstr("No setting"));
}

TEST(SlowAdvice, StandsInTheMessageOfARunThatDoesNotFit) {
  JobSettings job = wide_batch();
  TrainingPlan plan = plan_within(job, 0.6);
  try {
    require_fits(job, plan);
    FAIL() << "it does not fit";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("--set training."));
    EXPECT_THAT(error.what(), HasSubstr("does not fit"));
  }
}

}  // namespace
}  // namespace lathe
