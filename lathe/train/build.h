#pragma once

#include <memory>

#include "lathe/nn/module.h"
#include "lathe/train/job.h"

namespace lathe {

/// The model of a job with every technique applied, and bytes taken for training on the current Runtime. What the
/// weights are is not decided yet: initialize or load them.
std::unique_ptr<Model> build_model(const JobSettings& job);

}  // namespace lathe
