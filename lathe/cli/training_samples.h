#pragma once

#include "lathe/train/rehearsal.h"

namespace lathe::cli {

/// Writes the texts that `job` (resolved) asks for with the weights in training; null where it asks for none. Reads the
/// job's tokenizer. Throws Error for prompts that the model's context has no room for.
SampleHook training_samples(const JobSettings& job);

/// The same for a plan, on meta alone: before the tokenizer is there, with as many tokens as the prompts may have.
SampleHook planned_samples(const JobSettings& job);

}  // namespace lathe::cli
