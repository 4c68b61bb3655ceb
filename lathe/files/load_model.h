#pragma once

#include <memory>
#include <string>

#include "lathe/models/config.h"
#include "lathe/nn/module.h"

namespace lathe {

/// The model of `config` for use alone, on the current Runtime, with the tensors of `directory` in `compute`. On a meta
/// Runtime it takes the same bytes, and checks names and shapes. Throws Error as read_model_config and load_tensors do.
std::unique_ptr<Model> load_model(const std::string& directory, const ModelConfig& config, DType compute);

/// What to compute in where nothing is asked for: bf16 where the processor multiplies it, f32 elsewhere.
DType default_compute();

}  // namespace lathe
