#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lathe/tensor/rehearse.h"
#include "lathe/train/trainer.h"

namespace lathe {

/// Writes texts with the model in training, on the current Runtime, real or meta. `cli` supplies it: training knows of
/// no inference. Must make the same allocations every time.
using SampleHook = std::function<std::vector<std::string>(Trainer& trainer, int64_t step)>;

/// What a meta run of a job showed: what it keeps, and each of its episodes.
struct RunRehearsal {
  Device device;  ///< it was rehearsed for
  struct Episode {
    std::string name;  ///< "step", "evaluation", "sample", "save"
    Rehearsal rehearsal;
  };
  int64_t persistent = 0;       ///< bytes of the arena that are taken before the first step
  BytesByPurpose by_purpose{};  ///< the same, split
  std::vector<Episode> episodes;
  int64_t parameters = 0;
  int64_t largest_parameter = 0;  ///< bytes of the one that keeps most
  int64_t checkpoint_bytes = 0;   ///< that one checkpoint takes on disk

  int64_t capacity() const;        ///< bytes the device must provide: what persists and the largest episode
  const Episode& largest() const;  ///< the episode with the highest peak
  const Rehearsal& of(const std::string& name) const;
  /// FLOPs of the model in one step: three forward passes' worth, whatever is computed again.
  int64_t model_flops(const JobSettings& job) const;
};

/// Rehearses a whole run as `device` (that of the job where none is given) would run it, without taking memory. `job`
/// must be resolved. Without `sample`, there is no such episode.
RunRehearsal rehearse_run(const JobSettings& job, const SampleHook& sample = nullptr,
                          std::optional<Device> device = std::nullopt);

}  // namespace lathe
