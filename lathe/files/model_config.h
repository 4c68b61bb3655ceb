#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/models/config.h"
#include "lathe/tensor/dtype.h"

namespace lathe {

/// The model that `model`/config.json describes, or the GGUF file `model`. Throws Error naming the file and the field
/// that is missing, of another type, or out of range.
ModelConfig read_model_config(const std::string& model);

/// The text of a config.json that transformers opens; `dtype` is that of the tensors beside it.
std::string model_config_json(const ModelConfig& config, DType dtype);

/// The tokens that end a text: eos_token_id, of which a config.json may list several.
std::vector<int64_t> end_token_ids(const ModelConfig& config);

}  // namespace lathe
