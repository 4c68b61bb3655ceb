#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "lathe/base/memory_info.h"
#include "lathe/train/run_directory.h"
#include "lathe/train/training_run.h"
#include "tests/support/program.h"
#include "tests/support/whole_pass.h"
#include "tests/train/train_support.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

/// A directory with token shards of some text and a place for a run; removed at the end.
struct Workshop {
  Workshop() {
    fs::create_directories(folder);
    std::ofstream text(path("text.txt"));
    for (uint64_t i = 0; i < 6000; ++i) text << "the " << Random(3).bits(i) % 97 << " hens of " << i % 13 << " farms\n";
    text.close();
    run({"tokenizer", "train", path("text.txt"), "--kind", "characters", "--out", path("tokenizer")});
    run({"data", "prepare", path("text.txt"), "--tokenizer", path("tokenizer"), "--out", path("shards"), "--held-out",
         "0.05"});
  }
  ~Workshop() { fs::remove_all(folder); }
  std::string path(const std::string& name) const { return (folder / name).string(); }

  fs::path folder = fs::temp_directory_path() / text("lathe_long_run_", ::getpid());

 private:
  static void run(const std::vector<std::string>& arguments) {
    ProgramResult result = run_lathe(arguments);
    require(result.status == 0, result.errors);
  }
};

JobSettings long_job(const Workshop& workshop) {
  JobSettings job = test::small_job("llama");
  job.run = workshop.path("run");
  job.data.corpora.push_back({.path = workshop.path("shards")});
  job.training.steps = 1000;
  job.evaluation.every = 100;
  job.evaluation.batches = 3;
  job.sample.every = 100;
  job.save.every = 250;
  job.log.every = 1000;
  return resolved(job);
}

int64_t most_likely(const Tensor& logits) {
  int64_t columns = logits.shape()[1];
  const float* last = logits.data<float>() + (logits.shape()[0] - 1) * columns;
  return std::max_element(last, last + columns) - last;
}

/// Writes a few tokens, each after a pass over all before it; notes what memory looks like first.
struct Sampler {
  struct Look {
    int64_t step;
    MemoryUse memory;
    WorkTotals work;
    int64_t anonymous;
  };
  std::vector<Look> looks;

  std::vector<std::string> operator()(Trainer& trainer, int64_t step) {
    Runtime& runtime = Runtime::current();
    if (!runtime.device.meta) looks.push_back({step, runtime.arena.use(), runtime.totals, process_memory().anonymous});
    std::vector<int32_t> tokens = {1};
    while (tokens.size() < 6) {
      WholePass pass(tokens, {0, int32_t(tokens.size())});
      Tensor logits = trainer.model().forward(pass);
      tokens.push_back(logits.is_meta() ? 0 : int32_t(most_likely(logits)));
    }
    std::string written;
    for (int32_t token : tokens) written += text(token, ' ');
    return {written};
  }
};

TEST(SlowLongRun, TakesTheSameBytesInAThousandStepsAsInAHundred) {
  Workshop workshop;
  JobSettings job = long_job(workshop);
  Sampler sampler;
  SampleHook hook = [&](Trainer& trainer, int64_t step) { return sampler(trainer, step); };
  RunRehearsal plan = rehearse_run(job, hook);
  ASSERT_EQ(run_training(job, {}, {hook}).step, 1000);
  const auto& looks = sampler.looks;
  ASSERT_EQ(looks.size(), 10u);
  const WorkTotals &step = plan.of("step").work, &evaluation = plan.of("evaluation").work;
  for (size_t i = 0; i < looks.size(); ++i) {
    EXPECT_EQ(looks[i].step, int64_t(i + 1) * 100);
    EXPECT_EQ(looks[i].memory.peak, plan.largest().rehearsal.peak);
    EXPECT_EQ(looks[i].memory.at_peak, plan.largest().rehearsal.at_peak);
    EXPECT_EQ(looks[i].memory.live, plan.persistent);
    EXPECT_LE(looks[i].memory.reserved, plan.capacity());
    if (i == 0) continue;
    EXPECT_EQ(looks[i].memory.reserved, looks[0].memory.reserved);
    EXPECT_EQ(looks[i].work.bytes_moved - looks[i - 1].work.bytes_moved,
              100 * step.bytes_moved + 3 * evaluation.bytes_moved + plan.of("sample").work.bytes_moved);
    EXPECT_EQ(looks[i].work.flops - looks[i - 1].work.flops,
              100 * step.flops + 3 * evaluation.flops + plan.of("sample").work.flops);
  }
  EXPECT_EQ(checkpoint_steps(job.run), (std::vector<int64_t>{750, 1000}));
  RecordProperty("grown_bytes", int(looks.back().anonymous - looks.front().anonymous));
  EXPECT_LE(looks.back().anonymous - looks.front().anonymous, 1 << 20);  // logs and malloc's own; not tensors
}

TEST(SlowLongRun, TakesTheSamePeakInEveryStep) {
  JobSettings job = test::small_job("gpt2");
  job.training.accumulation = 2;
  job = resolved(job);
  RunRehearsal plan = rehearse_run(job);
  Runtime runtime({}, plan.capacity());
  Trainer trainer(job);
  trainer.initialize();
  for (uint64_t step = 0; step < 1000; ++step) {
    std::vector<data::Batch> batches = {test::random_batch(job, 2 * step), test::random_batch(job, 2 * step + 1)};
    runtime.arena.forget_peak();
    WorkTotals before = runtime.totals;
    replay(plan.of("step").placement, [&] { trainer.step(batches, 1e-3); });
    ASSERT_EQ(runtime.arena.use().peak, plan.of("step").peak) << step;
    ASSERT_EQ(runtime.totals.bytes_moved - before.bytes_moved, plan.of("step").work.bytes_moved) << step;
    ASSERT_EQ(runtime.arena.use().live, plan.persistent) << step;
  }
}

}  // namespace
}  // namespace lathe
