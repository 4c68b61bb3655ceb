#pragma once
// Sums and maxima over the threads of a warp or a block, in a fixed order: the same bits every time.

#include <cuda_runtime.h>

namespace lathe {

constexpr int kWarp = 32;

struct SumOf {
  static constexpr float kNeutral = 0;
  __device__ float operator()(float a, float b) const { return a + b; }
};

struct MaximumOf {
  static constexpr float kNeutral = -3.402823466e+38f;
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

/// Every lane gets the result.
template <class Combine>
__device__ float over_warp(float value, Combine combine) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value = combine(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

/// Every thread of the block, of whole warps, gets the result; all must call.
template <class Combine>
__device__ float over_block(float value, Combine combine) {
  __shared__ float of_warps[kWarp];
  int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp, warps = int(blockDim.x) / kWarp;
  value = over_warp(value, combine);
  __syncthreads();  // the last call's readers are done
  if (lane == 0) of_warps[warp] = value;
  __syncthreads();
  return over_warp(lane < warps ? of_warps[lane] : Combine::kNeutral, combine);
}

}  // namespace lathe
