#include "lathe/train/step_profile.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "lathe/base/numbers.h"
#include "lathe/tensor/device_choice.h"
#include "lathe/tensor/random.h"
#include "lathe/train/rehearsal.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;
using Times = std::map<std::string, KernelTime, std::less<>>;

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

void note(Times& times, const Ceilings& ceilings, std::string_view name, Work work, double seconds) {
  KernelTime& time = times.try_emplace(std::string(name)).first->second;
  time.name = name;
  ++time.calls;
  time.flops += work.flops;
  time.bytes += work.bytes;
  time.seconds += seconds;
  time.at_ceiling += roofline_seconds(work, ceilings);
}

std::vector<KernelTime> longest_first(const Times& times) {
  std::vector<KernelTime> kernels;
  for (const auto& [name, time] : times) kernels.push_back(time);
  std::sort(kernels.begin(), kernels.end(),
            [](const KernelTime& a, const KernelTime& b) { return a.seconds > b.seconds; });
  return kernels;
}

}  // namespace

StepProfile profile_step(const JobSettings& job, const Ceilings& ceilings) {
  RunRehearsal plan = rehearse_run(job);
  int64_t budget = memory_budget(plan.device);
  require(plan.capacity() <= budget, "a step of this job needs ", format_bytes(plan.capacity()), " but ",
          format_bytes(budget), " are available here; `lathe plan` says what would make it fit");
  Runtime runtime(plan.device, plan.capacity());
  Trainer trainer(job);
  trainer.initialize();
  std::vector<data::Batch> batches = random_batches(job);
  StepProfile best{.seconds = 1e30, .tokens = job.tokens_per_step(), .model_flops = plan.model_flops(job)};
  double spent = 0;
  for (int i = 0; i < 3 || spent < 1; ++i) {
    Times times;
    runtime.on_kernel = [&](std::string_view name, Work work, double s) { note(times, ceilings, name, work, s); };
    auto start = Clock::now();
    replay(plan.of("step").placement, [&] { trainer.step(batches, 1e-4); });
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (i == 0) continue;
    spent += seconds;
    if (seconds < best.seconds) best.seconds = seconds, best.kernels = longest_first(times);
  }
  return best;
}

JobSettings profiled_job(DType dtype) {
  JobSettings job;
  job.model = {.model_type = "gpt2",
               .vocab_size = 50257,
               .hidden_size = 768,
               .num_hidden_layers = 2,
               .num_attention_heads = 12,
               .max_position_embeddings = 512};
  job.training.micro_batch = 4;
  job.training.dtype = dtype == DType::bf16 ? TrainingSettings::Compute::bf16 : TrainingSettings::Compute::f32;
  return resolved(job);
}

}  // namespace lathe
