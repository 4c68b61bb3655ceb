#pragma once

#include <memory>

#include "lathe/files/tensor_files.h"
#include "lathe/models/config.h"
#include "lathe/nn/module.h"

namespace lathe {

class PeftAdapter;

/// The model of `config` for use alone, on the current Runtime, with the tensors of `files` in `compute` and its
/// weights prepared; on a CPU, those of a GGUF file that lie in blocks (quant/block_format.h), or in f16, stay as they
/// are. On a meta Runtime it takes the same bytes, and checks names and shapes. Throws Error as load_tensors does.
/// With an `adapter`, whose tensors `files` has (PeftAdapter::put_into), that works beside the weights.
std::unique_ptr<Model> load_model(const TensorFiles& files, const ModelConfig& config, DType compute,
                                  const PeftAdapter* adapter = nullptr);

}  // namespace lathe
