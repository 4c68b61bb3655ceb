#pragma once
// The sum of many floats by one block, in f64 and in an order that depends on their number alone.

#include <cuda_runtime.h>

#include <cstdint>

namespace lathe {

constexpr int kAdders = 1024;  ///< threads of the block

/// Each thread adds every 1024th value, then halves are added to halves. Thread 0 gets the sum; all must call, once.
__device__ inline double total_of(const float* values, int64_t count) {
  __shared__ double sums[kAdders];
  double sum = 0;
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < count; i += kAdders) sum += double(values[i]);
  sums[threadIdx.x] = sum;
  for (int half = kAdders / 2; half > 0; half /= 2) {
    __syncthreads();
    if (int(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  return sums[threadIdx.x];
}

}  // namespace lathe
