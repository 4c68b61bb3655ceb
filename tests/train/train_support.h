#pragma once

#include "lathe/train/rehearsal.h"

namespace lathe::test {

/// A resolved job of a model with two layers of width 32: "gpt2" or "llama".
JobSettings small_job(const std::string& model_type);

/// A micro-batch of random tokens, in the shape that `job` says; `number` makes it another one.
data::Batch random_batch(const JobSettings& job, uint64_t number);

/// All trained weights, one after another.
std::vector<float> weights_of(Trainer& trainer);

}  // namespace lathe::test
