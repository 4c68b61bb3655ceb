#pragma once

#include <memory>

#include "lathe/tensor/tensor.h"

namespace lathe {

/// What a tensor holds when all kernels so far have run, for the host to read: its own bytes on a CPU, on a GPU a copy
/// in pinned memory, which is kept for the next one and begins at once. For what is read at every step; must not
/// outlive the tensor. Nothing on meta.
class ReadBack {
 public:
  explicit ReadBack(const Tensor& tensor) {
    if (tensor.is_meta()) return;
    bytes_ = tensor.data<std::byte>();
    Accelerator* gpu = tensor.storage().runtime().accelerator.get();
    if (!gpu) return;
    download_ = gpu->download_later(bytes_, tensor.bytes());
  }
  bool known() const { return bytes_ != nullptr; }
  /// Waits until it is there. Throws Error when work before it failed.
  template <class T>
  const T* wait() const {
    return reinterpret_cast<const T*>(download_ ? download_->wait().data() : bytes_);
  }

 private:
  std::unique_ptr<Download> download_;
  const std::byte* bytes_ = nullptr;
};

}  // namespace lathe
