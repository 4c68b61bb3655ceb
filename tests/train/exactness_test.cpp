// What a meta run showed is what happens, and what saves memory changes no bit.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>
#include <tuple>

#include "lathe/base/threads.h"
#include "lathe/train/snapshot.h"
#include "tests/train/train_support.h"

namespace lathe {
namespace {

using Checkpoint = TrainingSettings::Checkpoint;
using Compute = TrainingSettings::Compute;
using data::Packing;

struct Setting {
  std::string model_type;
  Compute dtype;
  Checkpoint checkpoint;
  int64_t accumulation;
  Packing packing;
};

JobSettings job_of(const Setting& setting) {
  JobSettings job = test::small_job(setting.model_type);
  job.training.dtype = setting.dtype;
  job.training.checkpoint = setting.checkpoint;
  job.training.accumulation = setting.accumulation;
  job.data.packing = setting.packing;
  job.training.loss_rows = 24;  // several chunks, the last one smaller
  if (job.model.model_type == "gpt2") job.model.resid_pdrop = job.model.embd_pdrop = 0.1;
  return resolved(job);
}

/// Cuts every row of `batch` into two documents, the first of `first` tokens.
void cut_rows(data::Batch& batch, int32_t first) {
  std::vector<int32_t> offsets = {0};
  std::vector<int64_t> ids;
  for (size_t row = 0; row < batch.sequence_ids.size(); ++row) {
    int32_t start = int32_t(int64_t(row) * batch.sequence_length);
    offsets.insert(offsets.end(), {start + first, start + int32_t(batch.sequence_length)});
    ids.insert(ids.end(), {batch.sequence_ids[row], batch.sequence_ids[row] + first});
    batch.targets[size_t(start + first - 1)] = data::kIgnoreTarget;
    std::iota(batch.positions.begin() + start + first, batch.positions.begin() + start + int32_t(batch.sequence_length),
              0);
    --batch.target_count;
  }
  batch.sequence_offsets = offsets;
  batch.sequence_ids = ids;
}

std::vector<data::Batch> batches_of(const JobSettings& job, uint64_t step) {
  std::vector<data::Batch> batches;
  for (int64_t i = 0; i < job.training.accumulation; ++i) {
    batches.push_back(test::random_batch(job, step * 10 + uint64_t(i)));
    if (job.data.packing == Packing::document) cut_rows(batches.back(), 5 + int32_t(step));
  }
  return batches;
}

class EverySetting : public testing::TestWithParam<std::tuple<std::string, Compute, Checkpoint, int64_t, Packing>> {};

/// Checks an episode against what its rehearsal showed. FLOPs of attention are those of whole rows in a rehearsal.
void expect_as_rehearsed(Runtime& runtime, const Rehearsal& rehearsal, Packing packing,
                         const std::function<void()>& episode) {
  runtime.arena.forget_peak();
  WorkTotals before = runtime.totals;
  replay(rehearsal.placement, episode);
  EXPECT_EQ(runtime.arena.use().peak, rehearsal.peak);
  EXPECT_EQ(runtime.arena.use().at_peak, rehearsal.at_peak);
  EXPECT_EQ(runtime.totals.kernels - before.kernels, rehearsal.work.kernels);
  if (packing == Packing::document) {
    EXPECT_LE(runtime.totals.flops - before.flops, rehearsal.work.flops);
  } else {
    EXPECT_EQ(runtime.totals.flops - before.flops, rehearsal.work.flops);
    EXPECT_EQ(runtime.totals.bytes_moved - before.bytes_moved, rehearsal.work.bytes_moved);
  }
}

TEST_P(EverySetting, RunsOnTheBytesThatItsPlanShowed) {
  auto [model, dtype, checkpoint, accumulation, packing] = GetParam();
  JobSettings job = job_of({model, dtype, checkpoint, accumulation, packing});
  RunRehearsal plan = rehearse_run(job);
  Runtime runtime({}, plan.capacity());
  Trainer trainer(job);
  trainer.initialize();
  EXPECT_EQ(runtime.arena.use().live_by_purpose, plan.by_purpose);
  for (uint64_t step = 0; step < 2; ++step) {
    std::vector<data::Batch> batches = batches_of(job, step);
    expect_as_rehearsed(runtime, plan.of("step"), packing, [&] { trainer.step(batches, 1e-3); });
    expect_as_rehearsed(runtime, plan.of("evaluation"), packing, [&] { trainer.score(batches.front()); });
  }
  std::string directory = text(testing::TempDir(), "lathe-exactness-", getpid());
  runtime.arena.forget_peak();
  replay(plan.of("save").placement, [&] { write_snapshot(directory, trainer, 2, ""); });
  EXPECT_EQ(runtime.arena.use().peak, plan.of("save").peak);
  std::filesystem::remove_all(directory);
  EXPECT_LE(runtime.arena.use().reserved, plan.capacity());
  EXPECT_EQ(runtime.arena.use().live_by_purpose, plan.by_purpose);
}

INSTANTIATE_TEST_SUITE_P(SlowPlan, EverySetting,
                         testing::Combine(testing::Values("gpt2", "llama"),
                                          testing::Values(Compute::f32, Compute::bf16),
                                          testing::Values(Checkpoint::none, Checkpoint::selective, Checkpoint::block),
                                          testing::Values(1, 2),
                                          testing::Values(Packing::concatenated, Packing::document)));

struct Outcome {
  std::vector<float> losses, weights;
  bool operator==(const Outcome&) const = default;
};

Outcome outcome_of(const Setting& setting) {
  JobSettings job = job_of(setting);
  Runtime runtime({}, 64 << 20);
  Trainer trainer(job);
  trainer.initialize();
  Outcome outcome;
  for (uint64_t step = 0; step < 3; ++step) {
    trainer.step(batches_of(job, step), 1e-2);
    outcome.losses.push_back(trainer.last_update()->loss);
  }
  outcome.weights = test::weights_of(trainer);
  return outcome;
}

TEST(SlowCheckpointing, ChangesNoBitWhateverElseIsOn) {
  for (const char* model : {"gpt2", "llama"})
    for (Compute dtype : {Compute::f32, Compute::bf16})
      for (Packing packing : {Packing::concatenated, Packing::document}) {
        Outcome plain = outcome_of({model, dtype, Checkpoint::none, 2, packing});
        EXPECT_EQ(plain, outcome_of({model, dtype, Checkpoint::selective, 2, packing}));
        EXPECT_EQ(plain, outcome_of({model, dtype, Checkpoint::block, 2, packing}));
      }
}

/// Held-out loss of each target of `batch` together; one row of the job's length.
double score_of(const JobSettings& job, const data::Batch& batch) {
  Runtime runtime({}, 64 << 20);
  Trainer trainer(job);
  trainer.initialize();
  return trainer.score(batch).value();
}

TEST(Packing, GivesADocumentTheLossThatItHasAlone) {
  for (const char* model : {"gpt2", "llama"}) {
    JobSettings job = job_of({model, Compute::f32, Checkpoint::none, 1, Packing::document});
    job.training.micro_batch = 1;
    data::Batch packed = test::random_batch(job, 1);
    data::Batch crossing = packed, alone = packed;
    cut_rows(packed, 6);
    crossing.targets = packed.targets;
    for (size_t i = 0; i < 16; ++i) {  // the second document begins the row; what follows it has no target
      alone.tokens[i] = i < 10 ? packed.tokens[i + 6] : 0;
      alone.targets[i] = i < 10 ? packed.targets[i + 6] : data::kIgnoreTarget;
    }
    data::Batch first = packed;
    std::fill(first.targets.begin() + 6, first.targets.end(), data::kIgnoreTarget);
    double whole = score_of(job, packed);
    EXPECT_NEAR(whole, score_of(job, first) + score_of(job, alone), 1e-4);
    EXPECT_GT(std::abs(whole - score_of(job, crossing)), 1e-3);
  }
}

TEST(Accumulation, GivesTheSameBitsForAnyNumberOfThreads) {
  Setting setting{"llama", Compute::bf16, Checkpoint::block, 2, Packing::document};
  Outcome one = outcome_of(setting);
  JobSettings job = job_of(setting);
  set_threads(3);
  Runtime runtime({}, 64 << 20);
  Trainer trainer(job);
  trainer.initialize();
  for (uint64_t step = 0; step < 3; ++step) trainer.step(batches_of(job, step), 1e-2);
  set_threads(1);
  EXPECT_EQ(one.weights, test::weights_of(trainer));
}

}  // namespace
}  // namespace lathe
