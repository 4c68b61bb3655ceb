#pragma once

#include <optional>
#include <span>
#include <vector>

#include "lathe/tensor/host_bytes.h"

namespace lathe {

/// Logits where the host can read them; nothing on meta.
class HostLogits {
 public:
  explicit HostLogits(const Tensor& logits) : dtype_(logits.dtype()), columns_(logits.shape().columns()) {
    if (!logits.is_meta()) bytes_.emplace(logits, HostBytes::Use::read);
  }
  bool known() const { return bytes_.has_value(); }
  /// The first `vocabulary` logits of a row, in `floats`.
  std::span<const float> row(int64_t row, int64_t vocabulary, std::vector<float>& floats) {
    floats.resize(size_t(vocabulary));
    visit_floating(dtype_, [&]<class T>(Element<T>) {
      const T* from = bytes_->data<T>() + row * columns_;
      std::copy(from, from + vocabulary, floats.begin());
    });
    return floats;
  }

 private:
  DType dtype_;
  int64_t columns_;
  std::optional<HostBytes> bytes_;
};

}  // namespace lathe
