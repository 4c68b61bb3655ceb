#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lathe/files/safetensors.h"
#include "lathe/nn/module.h"

namespace lathe {

/// All tensors of a model directory: model.safetensors, or the files that model.safetensors.index.json names.
class TensorFiles {
 public:
  /// Throws Error when `directory` holds no such files, or a broken one.
  explicit TensorFiles(const std::string& directory);

  struct Found {
    const SafetensorsFile* file;
    const TensorEntry* entry;
  };
  /// Null members: no such tensor. `optional_prefix` may stand before the name in one of the two and not in the other.
  Found find(const std::string& name, const std::string& optional_prefix = "") const;
  const std::string& directory() const { return directory_; }
  std::vector<std::string> names() const;

 private:
  std::string directory_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
};

/// Fills `kept` of every listed tensor from `files`, whatever the layout there, converting types, then refreshes
/// values. Throws Error naming the tensor that is missing or has another shape, with both shapes.
void load_tensors(const Inventory& inventory, const TensorFiles& files, const std::string& optional_prefix);

/// Sources that write every named tensor of which this rank keeps all parts, from `kept`, as `dtype`. They read the
/// tensors when they are written, and must not outlive them.
std::vector<TensorSource> tensor_sources(const Inventory& inventory, DType dtype);

/// Writes model.safetensors, or files of up to `max_file_bytes` with model.safetensors.index.json, into `directory`.
void save_tensors(const std::string& directory, std::span<const TensorSource> tensors, int64_t max_file_bytes);

}  // namespace lathe
