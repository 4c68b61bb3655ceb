#include "lathe/ops/likeliest.h"

#include "lathe/ops/row_packs.cuh"
#include "lathe/tensor/reduce.cuh"

namespace lathe {
namespace {

constexpr int kRowThreads = 1024;  ///< of a row

struct Highest {
  float value;
  int column;
  bool bad;

  __device__ void add(float x, int at) {
    bad |= !(x < INFINITY);
    if (x > value || (x == value && at < column)) value = x, column = at;
  }
  __device__ void add(const Highest& other) {
    bool others_bad = bad || other.bad;
    add(other.value, other.column);
    bad = others_bad;
  }
};

__device__ Highest over_lanes(Highest mine) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    Highest other;
    other.value = __shfl_xor_sync(~0u, mine.value, distance);
    other.column = __shfl_xor_sync(~0u, mine.column, distance);
    other.bad = __shfl_xor_sync(~0u, int(mine.bad), distance);
    mine.add(other);
  }
  return mine;
}

/// A block a row.
template <int size, class T>
__global__ void __launch_bounds__(kRowThreads) find_likeliest(const T* logits, int row_size, int columns, int* ids) {
  __shared__ Highest of_warps[kRowThreads / kWarp];
  take_turn();
  const T* row = logits + int64_t(blockIdx.x) * row_size;
  Highest mine{-INFINITY, 0x7fffffff, false};
#pragma unroll 4
  for (int c = int(threadIdx.x) * size; c < columns; c += kRowThreads * size) {
    float values[size];
    load(row + c, values);
#pragma unroll
    for (int i = 0; i < size; ++i)
      if (c + i < columns) mine.add(values[i], c + i);
  }
  mine = over_lanes(mine);
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = mine;
  __syncthreads();
  if (threadIdx.x >= kWarp) return;
  mine = over_lanes(of_warps[threadIdx.x]);
  if (threadIdx.x == 0) ids[blockIdx.x] = mine.bad ? -1 : mine.column;
}

void likeliest_cuda(const Tensor& logits, int64_t columns, Tensor& ids) {
  if (ids.elements() == 0) return;
  int64_t row_size = logits.shape()[1];
  visit_device(logits.dtype(), [&]<class T>(Element<T>) {
    visit_pack<T>(row_size, {&logits}, [&]<int size>(std::integral_constant<int, size>) {
      launch_early(find_likeliest<size, T>, {unsigned(ids.elements()), kRowThreads, stream_of(ids)}, "likeliest",
                   on_device<const T>(logits), int(row_size), int(columns), on_device<int>(ids));
    });
  });
}

const bool provided = likeliest_kernel.provide(Backend::cuda, likeliest_cuda);

}  // namespace
}  // namespace lathe
