#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lathe/base/gguf_writer.h"
#include "lathe/files/tensor_files.h"
#include "lathe/models/config.h"

namespace lathe {

/// The tensors that a model has, each whole, in the order of its blocks.
std::vector<Slice> tensors_of_model(const ModelConfig& config);

/// How llama.cpp's converter and quantizer store a tensor of that name in a file when asked for `wanted`: vectors,
/// norms and positions in F32, the head of a file of Q4_0 or Q4_1 in more bits (here Q8_0 always), rows that are no
/// whole blocks in F16. `tied`: the table of tokens is the head too.
GgmlType gguf_type_of(const std::string& name, const std::vector<int64_t>& shape, GgmlType wanted, bool tied);

/// Sources that write the model of `config`, whose tensors are `files`, as its family has them in GGUF files. They read
/// `files` when they are written. Tensors that lie there as they are wanted are copied, byte by byte. Throws Error when
/// the family has no form in GGUF files, or a tensor is missing or of another shape.
std::vector<GgufTensorSource> gguf_sources(const TensorFiles& files, const ModelConfig& config, GgmlType wanted);

/// The metadata of such a file without its tokenizer: architecture, sizes, type.
GgufMetadata gguf_metadata(const ModelConfig& config, GgmlType wanted);

/// Sources that write the same model as safetensors of Hugging Face's form, as `dtype`.
std::vector<TensorSource> safetensors_sources(const TensorFiles& files, const ModelConfig& config, DType dtype);

/// The type that most numbers of a model's matrices have in its files: "BF16", "Q4_1".
std::string main_type(const TensorFiles& files);

}  // namespace lathe
