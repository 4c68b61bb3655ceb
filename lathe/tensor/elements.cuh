#pragma once
// Element types in device code: lathe's on the host are CUDA's on the device, with the same bytes.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "lathe/tensor/tensor.h"

namespace lathe {

/// Calls `visitor(Element<T>{})` with the device type of a floating dtype: float, __nv_bfloat16 or __half.
template <class Visitor>
decltype(auto) visit_device(DType dtype, Visitor&& visitor) {
  if (dtype == DType::f32) return visitor(Element<float>{});
  if (dtype == DType::bf16) return visitor(Element<__nv_bfloat16>{});
  if (dtype == DType::f16) return visitor(Element<__half>{});
  not_floating(dtype);
}

/// The bytes of a tensor as device elements; null for an empty tensor.
template <class T>
T* on_device(const Tensor& tensor) {
  return tensor ? reinterpret_cast<T*>(tensor.data<std::byte>()) : nullptr;
}

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ inline float to_float(__half value) { return __half2float(value); }

template <class T>
__device__ T from_float(float value) {
  if constexpr (std::is_same_v<T, float>)
    return value;
  else if constexpr (std::is_same_v<T, __nv_bfloat16>)
    return __float2bfloat16_rn(value);
  else
    return __float2half_rn(value);
}

/// `size` elements that are loaded and stored at once.
template <class T, int size>
struct alignas(sizeof(T) * size) Pack {
  T values[size];
};

template <int size, class T>
__device__ void load(const T* from, float (&to)[size]) {
  auto pack = *reinterpret_cast<const Pack<T, size>*>(from);
#pragma unroll
  for (int i = 0; i < size; ++i) to[i] = to_float(pack.values[i]);
}

template <int size, class T>
__device__ void store(const float (&from)[size], T* to) {
  Pack<T, size> pack;
#pragma unroll
  for (int i = 0; i < size; ++i) pack.values[i] = from_float<T>(from[i]);
  *reinterpret_cast<Pack<T, size>*>(to) = pack;
}

/// Whether tensors can be walked in packs of `size` elements: `count`, the extent that is walked, is a multiple of it,
/// and their bytes are aligned to packs. Empty tensors do not matter.
inline bool packs_fit(int size, int64_t count, std::initializer_list<const Tensor*> tensors) {
  for (const Tensor* tensor : tensors)
    if (*tensor && reinterpret_cast<uintptr_t>(tensor->data<std::byte>()) % uint64_t(size * size_of(tensor->dtype())))
      return false;
  return count % size == 0;
}

}  // namespace lathe
