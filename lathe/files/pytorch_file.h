#pragma once

#include <string>
#include <vector>

#include "lathe/base/mapped_file.h"
#include "lathe/files/element_type.h"

namespace lathe {

/// A tensor of a PyTorch file; a view of its bytes.
struct PyTorchTensor {
  std::string name;
  const ElementType* type = nullptr;
  std::vector<int64_t> shape;
  Bytes bytes;
};

/// The tensors in the bytes of a file that torch.save() wrote (since PyTorch 1.6: a ZIP archive with a pickle),
/// checked: each is contiguous and inside its storage. Throws Error naming `path`, and the tensor or what the pickle
/// asks for.
std::vector<PyTorchTensor> parse_pytorch(Bytes file, const std::string& path);

/// Such a file (pytorch_model.bin), memory-mapped.
class PyTorchFile {
 public:
  explicit PyTorchFile(const std::string& path) : file_(path), tensors_(parse_pytorch(file_.bytes(), path)) {}
  const std::string& path() const { return file_.path(); }
  const std::vector<PyTorchTensor>& tensors() const { return tensors_; }
  /// Drops the pages from this process; they come back when they are read again.
  void forget() const { file_.forget(0, file_.size()); }

 private:
  MappedFile file_;
  std::vector<PyTorchTensor> tensors_;
};

}  // namespace lathe
