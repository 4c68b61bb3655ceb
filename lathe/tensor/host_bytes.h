#pragma once

#include <vector>

#include "lathe/tensor/tensor.h"

namespace lathe {

/// The bytes of a tensor where the host can reach them: its own on a CPU, a copy of a GPU's. Not for meta devices.
class HostBytes {
 public:
  enum class Use : uint8_t { read, write };
  /// `read`: what the tensor holds now. `write`: all of it will be written, and store() brings it there.
  HostBytes(const Tensor& tensor, Use use);
  template <class T>
  T* data() {
    return reinterpret_cast<T*>(copy_.empty() ? tensor_.data<std::byte>() : copy_.data());
  }
  void store();

 private:
  Tensor tensor_;
  std::vector<std::byte> copy_;
};

}  // namespace lathe
