#pragma once

#include "lathe/base/gguf.h"
#include "lathe/models/config.h"

namespace lathe {

/// The model in a GGUF file. Throws Error naming the file and the key that is missing, of another type or out of range,
/// and for an architecture that no family here has.
ModelConfig gguf_model_config(const GgufFile& file);

}  // namespace lathe
