#pragma once

#include <memory>

#include "lathe/base/progress.h"
#include "lathe/train/job.h"
#include "lathe/train/run_log.h"

namespace lathe {

/// What a person sees of a run: a line every log.every steps, and how far it is.
class ProgressLine {
 public:
  ProgressLine(const JobSettings& job, int64_t first_step, int64_t memory);

  void step(const StepReport& report);
  void evaluation(const EvaluationReport& report);
  void sample(int64_t step, const std::string& prompt, const std::string& written);

 private:
  int64_t steps_, every_, first_, memory_;
  double tokens_ = 0, seconds_ = 0, flop_use_ = 0;  ///< since the last line
  Progress progress_;
};

}  // namespace lathe
