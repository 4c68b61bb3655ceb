#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "lathe/base/gguf.h"
#include "lathe/files/file_tensor.h"
#include "lathe/files/pytorch_file.h"
#include "lathe/files/safetensors.h"
#include "lathe/nn/module.h"

namespace lathe {

/// All tensors of a model on disk, by the names that the model has for them: of a directory with model.safetensors, the
/// files that model.safetensors.index.json names, pytorch_model.bin, or those of pytorch_model.bin.index.json, looked
/// for in this order, which is transformers'; or of a GGUF file. Of a directory of a text model with others before it
/// (vision_tower, as LLaVA has), which see config.h, the text model's alone: a line of the log says so.
class TensorFiles {
 public:
  /// Throws Error when `model` holds no such files, a broken one, two that have a tensor of the same name, or in a GGUF
  /// file a tensor that its family has not.
  explicit TensorFiles(const std::string& model);
  /// All of one .safetensors or PyTorch file.
  static TensorFiles of_file(const std::string& path);

  /// Null: no such tensor. `optional_prefix` may stand before the name in one of the two and not in the other.
  const FileTensor* find(const std::string& name, const std::string& optional_prefix = "") const;
  /// The same; throws Error naming the file, and the tensor as the model and the file call it, where there is none.
  const FileTensor& at(const std::string& name, const std::string& optional_prefix) const;
  /// Puts `tensor`, whose bytes must stay, beside the others as `name`, or in the place of the one of that name.
  void put(const std::string& name, FileTensor tensor);
  const std::string& path() const { return path_; }
  const std::vector<std::string>& names() const { return names_; }  ///< in the order of the files
  /// Drops the files' pages from this process, once their numbers are elsewhere; they come back when they are read
  /// again.
  void forget() const;
  /// Throws Error naming a tensor of a GGUF file that no slice of `inventory` reads. Directories may hold more than
  /// a model needs: buffers, tied tables.
  void require_all_used(const Inventory& inventory) const;

 private:
  TensorFiles() = default;
  std::string path_;
  std::vector<std::unique_ptr<SafetensorsFile>> safetensors_;
  std::vector<std::unique_ptr<PyTorchFile>> pytorch_;
  std::unique_ptr<GgufFile> gguf_;
  int64_t left_out_ = 0;  ///< tensors of models before the text model
  std::vector<std::string> names_;
  std::unordered_map<std::string, FileTensor> tensors_;

  void add(FileTensor&& tensor);
  void add_directory(const std::filesystem::path& directory);
  void add_file(const std::string& path);
  void add_gguf();
  void add_named(FileTensor tensor, const std::string& ours);
  void add_experts(const FileTensor& all, const std::string& ours, int64_t experts);
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
