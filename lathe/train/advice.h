#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lathe/train/training_plan.h"

namespace lathe {

/// Other settings for a job, and what they cost.
struct Advice {
  std::vector<std::string> overrides;  ///< as --set takes them
  int64_t bytes = 0;                   ///< that the run then needs, outside the arena too, of the memory that it lacked
  double slowdown = 1;                 ///< estimated seconds a step, as a multiple of the job's own
  std::string options() const;         ///< "--set a.b=c --set d.e=f"
};

/// What there is to say about a plan that does not fit.
struct Advised {
  std::optional<Advice> fitting;  ///< the cheapest settings that fit, rehearsed to be sure; none: there are none
  Advice least;                   ///< the settings that need the least memory
};

/// Looks for settings with which `job` (resolved) fits plan.on's memory. Tokens a step stay as they are. First
/// micro_batch, checkpoint and loss_rows, which change no result but for rounding; then dtype; then sequence_length,
/// which changes what is learned.
Advised advise(const JobSettings& job, const TrainingPlan& plan, const SampleHook& sample = nullptr);

/// That in a sentence or two.
std::string advice_text(const Advised& advised);

}  // namespace lathe
