#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "lathe/tensor/accelerator.h"
#include "lathe/tensor/transfer.h"

namespace lathe {

constexpr Device kGpu{Backend::cuda};

/// A test that needs an NVIDIA GPU; elsewhere it is skipped and says why.
class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  }
};

/// A tensor of these elements on the current Runtime; a T may be a float that becomes any floating `dtype`.
template <class T>
Tensor stored(Shape shape, const std::vector<T>& values, DType dtype) {
  Tensor tensor = Tensor::empty(shape, dtype);
  if constexpr (std::is_same_v<T, float>)
    visit_floating(dtype, [&]<class E>(Element<E>) {
      std::vector<E> converted(values.begin(), values.end());
      upload(std::span<const E>(converted), tensor);
    });
  else
    upload(std::span<const T>(values), tensor);
  return tensor;
}

/// The values of a floating tensor, wherever it lives.
inline std::vector<float> fetched(const Tensor& tensor) {
  std::vector<float> values;
  visit_floating(tensor.dtype(), [&]<class E>(Element<E>) {
    std::vector<E> raw(size_t(tensor.elements()));
    download(tensor, std::as_writable_bytes(std::span(raw)));
    values.assign(raw.begin(), raw.end());
  });
  return values;
}

}  // namespace lathe
