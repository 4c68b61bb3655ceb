#pragma once

#include <string>

#include "lathe/plan/planned_device.h"
#include "lathe/train/rehearsal.h"

namespace lathe {

/// What a training process holds of the host's memory, outside the arena of a CPU.
struct HostMemory {
  int64_t process = 0;  ///< program, libraries and heap: measured in this process (RssAnon)
  int64_t driver = 0;   ///< a GPU's driver and libraries, where this process has not loaded them
  int64_t batches = 0;  ///< of the loader, those made ahead and those in use
  int64_t staging = 0;  ///< beside a GPU: pinned, for what steps upload; and the largest weight on its way to a file
  int64_t total() const { return process + driver + batches + staging; }
};
HostMemory host_memory(const JobSettings& job, const RunRehearsal& run, const PlannedDevice& on);

/// Everything known about a run before it takes memory.
struct TrainingPlan {
  RunRehearsal run;
  HostMemory host;
  PlannedDevice on;
  Ceilings ceilings;     ///< of the device, for the job's dtype
  CallSeconds estimate;  ///< of each kernel call there

  /// Bytes of the device: on a CPU all that the process holds; on a GPU the arena, and what CUDA takes beside it.
  int64_t needed() const;
  /// Bytes of the host beside a GPU; 0 on a CPU.
  int64_t host_needed() const { return on.gpu() ? host.total() : 0; }
  bool fits() const { return needed() <= on.budget && host_needed() <= on.host_budget; }
  double seconds_per_step() const;  ///< an estimate
};

/// Throws Error, naming the way out, where a GPU lacks the type that `job` (resolved) computes in, or that the
/// rehearsed run multiplies in.
void require_computes(const PlannedDevice& on, const JobSettings& job);
void require_multiplies(const PlannedDevice& on, const RunRehearsal& run);

/// Rehearses `job` (resolved) as `on` would run it; a CPU's ceilings are measured, for some 100 ms. `sample` counts
/// where the job samples. Throws Error where the device cannot compute what the job asks for.
TrainingPlan plan_training(const JobSettings& job, const PlannedDevice& on, const SampleHook& sample = nullptr);

/// Seconds of a step of `job` (resolved) on its device.
double estimated_step_seconds(const JobSettings& job, const CallSeconds& estimate);

/// "124.4M parameters, 32,768 tokens a step, 5,000 steps".
std::string plan_summary(const JobSettings& job, const TrainingPlan& plan);
/// Bytes by purpose of each episode, what lies outside the arena, the sum and the budget.
std::string memory_table(const TrainingPlan& plan);
/// All of the plan, for people. `lathe plan` prints it.
std::string plan_text(const JobSettings& job, const TrainingPlan& plan);

/// Throws Error with the table, and settings that would help, when the plan needs more than its budgets.
void require_fits(const JobSettings& job, const TrainingPlan& plan, const SampleHook& sample = nullptr);

}  // namespace lathe
