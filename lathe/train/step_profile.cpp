#include "lathe/train/step_profile.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "lathe/base/numbers.h"
#include "lathe/plan/gpu_gauge.h"
#include "lathe/tensor/device_choice.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"
#include "lathe/train/rehearsal.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

/// Calls of one kernel that did the same work, and the seconds of all of them.
struct Tally {
  int64_t calls = 0;
  double seconds = 0;
};
using Tallies = std::map<std::pair<std::string, Work>, Tally>;

std::vector<data::Batch> random_batches(const JobSettings& job) {
  std::vector<data::Batch> batches(size_t(job.training.accumulation), blank_batch(job));
  Random random(job.training.seed);
  uint64_t next = 0;
  for (data::Batch& batch : batches)
    for (size_t i = 0; i < batch.tokens.size(); ++i) {
      batch.tokens[i] = int32_t(random.bits(next++) % uint64_t(job.model.vocab_size));
      batch.targets[i] = int32_t(random.bits(next++) % uint64_t(job.model.vocab_size));
    }
  return batches;
}

std::vector<KernelTime> longest_first(const std::vector<MeasuredCall>& calls, const Ceilings& ceilings) {
  std::map<std::string, KernelTime> times;
  for (const MeasuredCall& call : calls) {
    KernelTime& time = times[call.kernel];
    time.name = call.kernel;
    time.calls += call.calls;
    time.flops += call.calls * call.work.flops;
    time.bytes += call.calls * call.work.bytes;
    time.seconds += double(call.calls) * call.seconds;
    time.at_ceiling += double(call.calls) * roofline_seconds(call.work, ceilings);
  }
  std::vector<KernelTime> kernels;
  for (const auto& [name, time] : times) kernels.push_back(time);
  std::sort(kernels.begin(), kernels.end(),
            [](const KernelTime& a, const KernelTime& b) { return a.seconds > b.seconds; });
  return kernels;
}

/// A Trainer whose steps are timed.
class TimedTrainer {
 public:
  explicit TimedTrainer(const JobSettings& job)
      : job_(job),
        plan_(rehearse_run(job)),
        runtime_(plan_.device, plan_.capacity() + Arena::kAlignment),
        trainer_(job),
        batches_(random_batches(job)) {
    trainer_.initialize();
  }

  const RunRehearsal& plan() const { return plan_; }
  Runtime& runtime() { return runtime_; }

  void step() {
    replay(plan_.of("step").placement, [&] { trainer_.step(batches_, 1e-4); });
  }

  /// Seconds of a step: the fastest on a CPU; on a GPU, which works on while the host goes ahead, the mean of a row.
  double seconds_of_steps(int row) {
    auto start = Clock::now();
    for (int i = 0; i < row; ++i) step();
    trainer_.last_update();
    return std::chrono::duration<double>(Clock::now() - start).count() / row;
  }

  /// Runs a step in which each kernel is timed, `overhead` seconds of which are not the kernel's. Returns its seconds.
  double timed_step(double overhead, std::vector<MeasuredCall>& calls) {
    Tallies tallies;
    runtime_.on_kernel = [&](std::string_view name, Work work, double seconds) {
      Tally& tally = tallies[{std::string(name), work}];
      ++tally.calls;
      tally.seconds += std::max(seconds - overhead, 1e-9);
    };
    double seconds = seconds_of_steps(1);
    runtime_.on_kernel = nullptr;
    calls.clear();
    for (const auto& [key, tally] : tallies)
      calls.push_back({.kernel = key.first,
                       .shape = {job_.compute(), job_.model.head_dim},
                       .work = key.second,
                       .calls = tally.calls,
                       .seconds = tally.seconds / double(tally.calls)});
    return seconds;
  }

  /// What timing a kernel on a GPU adds to it: the least that one which does nothing seems to take.
  double timing_overhead() {
    double least = 1;
    runtime_.on_kernel = [&](std::string_view, Work, double seconds) { least = std::min(least, seconds); };
    Tensor number = Tensor::empty({1});
    for (int i = 0; i < 100; ++i) fill_kernel({}, 1.0f, number);
    runtime_.on_kernel = nullptr;
    return least;
  }

 private:
  const JobSettings& job_;
  RunRehearsal plan_;
  Runtime runtime_;
  Trainer trainer_;
  std::vector<data::Batch> batches_;
};

void require_fits(const RunRehearsal& plan) {
  int64_t budget = memory_budget(plan.device);
  require(plan.capacity() <= budget, "a step of this job needs ", format_bytes(plan.capacity()), " but ",
          format_bytes(budget), " are available here; `lathe plan` says what would make it fit");
}

/// Times whole steps: one that chooses, two that are captured, then those that count.
void time_graphs(TimedTrainer& trainer, StepProfile& profile) {
  constexpr int kRow = 5;
  trainer.seconds_of_steps(3);
  profile.seconds = 1e30;
  for (double spent = 0; spent < 0.5; spent += kRow * profile.seconds)
    profile.seconds = std::min(profile.seconds, trainer.seconds_of_steps(kRow));
  const AcceleratorInfo& gpu = accelerators().gpus[size_t(trainer.plan().device.index)];
  int64_t gone = gpu.free_bytes - gpu_gauge(trainer.runtime())->free_bytes();
  profile.libraries = gone - trainer.runtime().arena.capacity();
}

}  // namespace

StepProfile profile_step(const JobSettings& job, const Ceilings& ceilings) {
  require_fits(rehearse_run(job));
  TimedTrainer trainer(job);
  bool gpu = trainer.runtime().accelerator != nullptr;
  StepProfile best{.seconds = 1e30, .tokens = job.tokens_per_step(), .model_flops = trainer.plan().model_flops(job)};
  trainer.step();
  double overhead = gpu ? trainer.timing_overhead() - ceilings.launch_seconds : 0;
  double spent = 0;
  for (int i = 0; i < 2 || spent < 1; ++i) {
    std::vector<MeasuredCall> calls;
    double seconds = trainer.timed_step(overhead, calls);
    spent += seconds;
    if (seconds < best.seconds) best.seconds = seconds, best.calls = std::move(calls);
  }
  best.kernels = longest_first(best.calls, ceilings);
  if (gpu) time_graphs(trainer, best);
  return best;
}

JobSettings profiled_job(DType dtype, Device device) {
  bool gpu = device.backend == Backend::cuda;
  JobSettings job;
  job.model = {.model_type = "gpt2",
               .vocab_size = 50257,
               .hidden_size = 768,
               .num_hidden_layers = 2,
               .num_attention_heads = 12,
               .max_position_embeddings = gpu ? 1024 : 512};
  job.training.device = gpu ? device.name() : "cpu";
  job.training.micro_batch = gpu ? 32 : 4;
  job.training.dtype = dtype == DType::bf16 ? TrainingSettings::Compute::bf16 : TrainingSettings::Compute::f32;
  return resolved(job);
}

}  // namespace lathe
