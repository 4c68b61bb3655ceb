#pragma once

#include <string>

#include "lathe/plan/roofline.h"
#include "lathe/train/rehearsal.h"

namespace lathe {

/// What a training process holds outside the arena.
struct HostMemory {
  int64_t process = 0;  ///< program, libraries and heap: measured in this process (RssAnon)
  int64_t batches = 0;  ///< of the loader, those made ahead and those in use
  int64_t total() const { return process + batches; }
};
HostMemory host_memory(const JobSettings& job);

/// Everything known about a run before it takes memory.
struct TrainingPlan {
  RunRehearsal run;
  HostMemory host;
  Ceilings ceilings;  ///< of this machine, for the job's dtype
  int64_t budget = 0;
  int64_t needed() const { return run.capacity() + host.total(); }
  bool fits() const { return needed() <= budget; }
  double seconds_per_step() const;  ///< an estimate: at the ceilings
};

/// Rehearses `job` (resolved) and measures this machine for some 100 ms. `sample` counts where the job samples.
TrainingPlan plan_training(const JobSettings& job, int64_t budget, const SampleHook& sample = nullptr);

/// "124.4M parameters, 32,768 tokens a step, 5,000 steps".
std::string plan_summary(const JobSettings& job, const TrainingPlan& plan);
/// Bytes by purpose of each episode, what lies outside the arena, the sum and the budget.
std::string memory_table(const TrainingPlan& plan);
/// All of the plan, for people. `lathe plan` prints it.
std::string plan_text(const JobSettings& job, const TrainingPlan& plan);

/// Throws Error with the table, and settings that would help, when the plan needs more than its budget.
void require_fits(const JobSettings& job, const TrainingPlan& plan, const SampleHook& sample = nullptr);

}  // namespace lathe
