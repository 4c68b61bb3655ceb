#pragma once

#include <string>
#include <vector>

#include "lathe/plan/kernel_rates.h"
#include "lathe/train/job.h"

namespace lathe {

/// All calls of one kernel in a training step.
struct KernelTime {
  std::string name;
  int64_t calls = 0, flops = 0, bytes = 0;
  double seconds = 0;
  double at_ceiling = 0;  ///< seconds that the same calls would take at the ceilings
  /// Above 1 where what a call read was still in a cache.
  double share() const { return seconds > 0 ? at_ceiling / seconds : 0; }
};

/// A measured training step.
struct StepProfile {
  double seconds = 0;  ///< on a GPU: of a step as a graph, which takes less than its kernels one by one
  int64_t tokens = 0, model_flops = 0;
  std::vector<KernelTime> kernels;  ///< the longest first
  std::vector<MeasuredCall> calls;  ///< the same, by work
  int64_t libraries = 0;            ///< bytes that a GPU lost since it was opened, the arena left out
  /// Model FLOP use: what the model needs, whatever was computed twice, as a share of the ceiling.
  double flop_use(const Ceilings& ceilings) const { return double(model_flops) / seconds / ceilings.flops_per_second; }
};

/// Runs steps of `job` (resolved) on its device with random weights, one to warm up and then for about a second, and
/// tells where the time of the fastest went. Reads no corpus. Throws Error when the memory here does not suffice.
StepProfile profile_step(const JobSettings& job, const Ceilings& ceilings);

/// Two layers of GPT-2 124M with its head: the kernels of its step in a fraction of its time. 4 x 512 tokens on a CPU,
/// 32 x 1024 on a GPU.
JobSettings profiled_job(DType dtype, Device device = {});

}  // namespace lathe
