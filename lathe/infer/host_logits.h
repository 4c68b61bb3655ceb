#pragma once

#include <span>
#include <vector>

#include "lathe/tensor/read_back.h"

namespace lathe {

/// Logits where the host can read them; nothing on meta. Must not outlive them.
class HostLogits {
 public:
  explicit HostLogits(const Tensor& logits)
      : dtype_(logits.dtype()), columns_(logits.shape().columns()), read_(logits), values_(read_.wait<std::byte>()) {}
  bool known() const { return read_.known(); }
  /// The first `vocabulary` logits of a row, in `floats`.
  std::span<const float> row(int64_t row, int64_t vocabulary, std::vector<float>& floats) const {
    floats.resize(size_t(vocabulary));
    visit_floating(dtype_, [&]<class T>(Element<T>) {
      const T* from = reinterpret_cast<const T*>(values_) + row * columns_;
      std::copy(from, from + vocabulary, floats.begin());
    });
    return floats;
  }

 private:
  DType dtype_;
  int64_t columns_;
  ReadBack read_;
  const std::byte* values_;
};

}  // namespace lathe
