#pragma once

#include "lathe/train/rehearsal.h"

namespace lathe {

struct TrainingOptions {
  bool resume = false;        ///< go on from the newest checkpoint, or from the start where there is none
  bool use_previous = false;  ///< where the newest checkpoint is damaged, go on from the one before
};

/// What `cli` adds to training.
struct TrainingHooks {
  SampleHook sample;  ///< null: no samples
};

struct TrainingOutcome {
  int64_t step = 0;          ///< last one that is finished
  bool interrupted = false;  ///< by a signal; everything up to `step` is saved
};

/// Trains as `job` (resolved) says, in the directory job.run. Prints the plan, then progress. Throws Error when the run
/// does not fit into memory or onto the disk, when the directory holds another run, or when a step went wrong and the
/// job says to stop: the message names step and batch.
TrainingOutcome run_training(const JobSettings& job, const TrainingOptions& options = {},
                             const TrainingHooks& hooks = {});

/// The job that the run at `directory` was started with, with overrides. Throws Error when there is none, or when an
/// override changes what cannot change.
JobSettings read_run_job(const std::string& directory, const std::vector<std::string>& overrides = {});

}  // namespace lathe
