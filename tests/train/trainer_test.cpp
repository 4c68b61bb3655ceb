#include "lathe/train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/train/train_support.h"

namespace lathe {
namespace {

using Checkpoint = TrainingSettings::Checkpoint;
using Compute = TrainingSettings::Compute;
using Matmul = TrainingSettings::Matmul;
using test::random_batch;
using test::small_job;
using test::weights_of;

struct Technique {
  const char* name;
  const char* model_type;
  Compute dtype;
  Checkpoint checkpoint;
  int64_t accumulation;
  Matmul matmul = Matmul::dtype;
};

JobSettings job_of(const Technique& technique) {
  JobSettings job = small_job(technique.model_type);
  job.training.dtype = technique.dtype;
  job.training.checkpoint = technique.checkpoint;
  job.training.accumulation = technique.accumulation;
  job.training.matmul = technique.matmul;
  if (job.model.model_type == "gpt2") job.model.resid_pdrop = 0.1;
  return resolved(job);
}

std::vector<data::Batch> batches_of(const JobSettings& job, uint64_t step) {
  std::vector<data::Batch> batches;
  for (int64_t i = 0; i < job.training.accumulation; ++i)
    batches.push_back(random_batch(job, step * uint64_t(job.training.accumulation) + uint64_t(i)));
  return batches;
}

class EveryTechnique : public testing::TestWithParam<Technique> {};

TEST_P(EveryTechnique, RunsOnTheBytesItsMetaRunShowed) {
  JobSettings job = job_of(GetParam());
  RunRehearsal plan = rehearse_run(job);
  Runtime runtime({}, plan.capacity());
  Trainer trainer(job);
  trainer.initialize();
  EXPECT_EQ(runtime.arena.use().reserved, plan.persistent);
  EXPECT_EQ(runtime.arena.use().live_by_purpose, plan.by_purpose);
  for (uint64_t step = 0; step < 3; ++step) {
    std::vector<data::Batch> batches = batches_of(job, step);
    runtime.arena.forget_peak();
    WorkTotals before = runtime.totals;
    replay(plan.of("step").placement, [&] { trainer.step(batches, 1e-3); });
    EXPECT_EQ(runtime.arena.use().peak, plan.of("step").peak);
    EXPECT_EQ(runtime.arena.use().at_peak, plan.of("step").at_peak);
    EXPECT_EQ(runtime.totals.flops - before.flops, plan.of("step").work.flops);
    EXPECT_EQ(runtime.totals.bytes_moved - before.bytes_moved, plan.of("step").work.bytes_moved);
    replay(plan.of("evaluation").placement, [&] { trainer.score(batches.front()); });
  }
}

TEST_P(EveryTechnique, LearnsABatchByHeart) {
  JobSettings job = job_of(GetParam());
  job.model.resid_pdrop = 0;
  Runtime runtime({}, 64 << 20);
  Trainer trainer(job);
  trainer.initialize();
  std::vector<data::Batch> batches = batches_of(job, 0);
  trainer.step(batches, 1e-2);
  EXPECT_NEAR(trainer.last_update()->loss, std::log(96), 0.15);
  for (int i = 0; i < 30; ++i) trainer.step(batches, 1e-2);
  EXPECT_LT(trainer.last_update()->loss, 2.5);
}

INSTANTIATE_TEST_SUITE_P(Trainer, EveryTechnique,
                         testing::Values(Technique{"gpt2_f32", "gpt2", Compute::f32, Checkpoint::none, 1},
                                         Technique{"gpt2_bf16", "gpt2", Compute::bf16, Checkpoint::none, 1},
                                         Technique{"gpt2_selective", "gpt2", Compute::bf16, Checkpoint::selective, 1},
                                         Technique{"gpt2_block", "gpt2", Compute::f32, Checkpoint::block, 2},
                                         Technique{"llama_f32", "llama", Compute::f32, Checkpoint::none, 3},
                                         Technique{"llama_bf16", "llama", Compute::bf16, Checkpoint::none, 1},
                                         Technique{"llama_selective", "llama", Compute::f32, Checkpoint::selective, 2},
                                         Technique{"llama_block", "llama", Compute::bf16, Checkpoint::block, 1}),
                         [](const auto& technique) { return technique.param.name; });
INSTANTIATE_TEST_SUITE_P(SlowTrainer, EveryTechnique,
                         testing::Values(Technique{"gpt2_fp8", "gpt2", Compute::bf16, Checkpoint::none, 1, Matmul::fp8},
                                         Technique{"llama_fp8", "llama", Compute::bf16, Checkpoint::block, 2,
                                                   Matmul::fp8}),
                         [](const auto& technique) { return technique.param.name; });

std::vector<float> weights_after_steps(const Technique& technique) {
  JobSettings job = job_of(technique);
  Runtime runtime({}, 64 << 20);
  Trainer trainer(job);
  trainer.initialize();
  for (uint64_t step = 0; step < 5; ++step) trainer.step(batches_of(job, step), 1e-2);
  return weights_of(trainer);
}

void expect_same_bits_however_it_saves_memory(const char* model, Compute dtype, Matmul matmul) {
  std::vector<float> plain = weights_after_steps({"", model, dtype, Checkpoint::none, 1, matmul});
  EXPECT_EQ(plain, weights_after_steps({"", model, dtype, Checkpoint::selective, 1, matmul}));
  EXPECT_EQ(plain, weights_after_steps({"", model, dtype, Checkpoint::block, 1, matmul}));
}

TEST(Trainer, GivesTheSameBitsHoweverItSavesMemory) {
  for (const char* model : {"gpt2", "llama"})
    for (Compute dtype : {Compute::f32, Compute::bf16})
      expect_same_bits_however_it_saves_memory(model, dtype, Matmul::dtype);
}

TEST(SlowTrainer, GivesTheSameBitsHoweverItSavesMemoryInFp8) {
  for (const char* model : {"gpt2", "llama"})
    expect_same_bits_however_it_saves_memory(model, Compute::bf16, Matmul::fp8);
}

TEST(SlowTrainer, RoundsTheProductsOfLayersToFp8WhereAsked) {
  std::vector<float> bf16 = weights_after_steps({"", "llama", Compute::bf16, Checkpoint::none, 1});
  EXPECT_NE(bf16, weights_after_steps({"", "llama", Compute::bf16, Checkpoint::none, 1, Matmul::fp8}));
}

TEST(Trainer, RefusesFp8OfF32) {
  EXPECT_THROW(job_of({"", "llama", Compute::f32, Checkpoint::none, 1, Matmul::fp8}), Error);
}

/// The rows of `whole`, cut into `parts` batches.
std::vector<data::Batch> split(const JobSettings& job, const data::Batch& whole, size_t parts) {
  std::vector<data::Batch> batches(parts, blank_batch(job));
  size_t tokens = batches.front().tokens.size(), rows = batches.front().sequence_ids.size();
  for (size_t i = 0; i < parts; ++i) {
    batches[i].target_count = 0;
    for (size_t j = 0; j < tokens; ++j) {
      batches[i].tokens[j] = whole.tokens[i * tokens + j];
      batches[i].targets[j] = whole.targets[i * tokens + j];
      batches[i].target_count += batches[i].targets[j] >= 0;
    }
    for (size_t j = 0; j < rows; ++j) batches[i].sequence_ids[j] = whole.sequence_ids[i * rows + j];
  }
  return batches;
}

TEST(Trainer, TakesTheSameStepHoweverTheBatchIsSplit) {
  JobSettings whole = small_job("gpt2");
  whole.model.resid_pdrop = 0.2;
  data::Batch batch = random_batch(whole, 0);
  for (size_t i = 0; i < 20; ++i) batch.targets[i] = -1;  // an average of averages would show
  batch.target_count -= 20;
  std::vector<std::vector<float>> results;
  for (size_t parts : {1, 2, 4}) {
    JobSettings job = whole;
    job.training.micro_batch = 4 / int64_t(parts);
    job.training.accumulation = int64_t(parts);
    Runtime runtime({}, 64 << 20);
    Trainer trainer(job);
    trainer.initialize();
    trainer.step(split(job, batch, parts), 1e-3);
    results.push_back(weights_of(trainer));
  }
  for (size_t i = 0; i < results[0].size(); ++i) {  // AdamW's first step divides tiny gradients by themselves
    ASSERT_NEAR(results[1][i], results[0][i], 2e-5);
    ASSERT_NEAR(results[2][i], results[0][i], 2e-5);
  }
}

TEST(Trainer, LeavesOutAnUpdateThatIsNotFinite) {
  JobSettings job = small_job("llama");
  Runtime runtime({}, 64 << 20);
  Trainer trainer(job);
  trainer.initialize();
  std::vector<data::Batch> batches = {random_batch(job, 0)};
  trainer.step(batches, 1e-3);
  trainer.inventory().parameters.back()->kept.data<float>()[0] = INFINITY;
  std::vector<float> before = weights_of(trainer);
  trainer.step(batches, 1e-3);
  EXPECT_EQ(trainer.last_update()->verdict, Verdict::not_finite);
  EXPECT_EQ(trainer.last_update()->updates, 1);
  EXPECT_EQ(weights_of(trainer), before);
}

}  // namespace
}  // namespace lathe
