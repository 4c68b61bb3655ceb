#include "lathe/ops/column_sums.h"

#include "lathe/ops/row_packs.cuh"
#include "lathe/tensor/reduce.cuh"

namespace lathe {
namespace {

constexpr int kWarps = kThreads / kWarp;

/// A block sums `size` columns a lane over one chunk of rows: a warp takes every eighth row, then warps are added.
template <class T, int size>
__global__ void __launch_bounds__(kThreads)
    column_partials(const T* x, float* partials, int64_t rows, int64_t columns) {
  __shared__ float of_warps[kWarps][kWarp * size];
  int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  int64_t tile = blockIdx.x * int64_t(kWarp * size), column = tile + lane * size, chunk = blockIdx.y;
  float sums[size] = {};
  if (column < columns) {
    int64_t end = rows * (chunk + 1) / gridDim.y;
#pragma unroll 4
    for (int64_t row = rows * chunk / gridDim.y + warp; row < end; row += kWarps) {
      float values[size];
      load(x + row * columns + column, values);
#pragma unroll
      for (int i = 0; i < size; ++i) sums[i] += values[i];
    }
  }
#pragma unroll
  for (int i = 0; i < size; ++i) of_warps[warp][lane * size + i] = sums[i];
  __syncthreads();
  for (int c = int(threadIdx.x); c < kWarp * size && tile + c < columns; c += kThreads) {
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += of_warps[w][c];
    partials[chunk * columns + tile + c] = sum;
  }
}

void column_partials_cuda(const Tensor& x, Tensor& partials) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    visit_pack<T>(columns, {&x}, [&]<int size>(std::integral_constant<int, size>) {
      dim3 grid(unsigned((columns + kWarp * size - 1) / (kWarp * size)), unsigned(partials.shape()[0]));
      column_partials<T, size><<<grid, kThreads, 0, stream_of(partials)>>>(on_device<const T>(x),
                                                                           on_device<float>(partials), rows, columns);
      check_launch("column_partials");
    });
  });
}

constexpr int kSlices = 32;

/// A block sums 32 columns: each warp every 32nd chunk, then warps are added in order.
__global__ void __launch_bounds__(kWarp* kSlices)
    sum_partials(const float* partials, int64_t chunks, int64_t stride, bool add, float* out, int64_t columns) {
  __shared__ float of_slices[kSlices][kWarp + 1];
  int lane = int(threadIdx.x), slice = int(threadIdx.y);
  int64_t column = blockIdx.x * int64_t(kWarp) + lane;
  float sum = 0;
  if (column < columns) {
#pragma unroll 4
    for (int64_t chunk = slice; chunk < chunks; chunk += kSlices) sum += partials[chunk * stride + column];
  }
  of_slices[slice][lane] = sum;
  __syncthreads();
  float total = over_warp(of_slices[lane][slice], SumOf());  // warp `slice` adds up column `slice`
  column = blockIdx.x * int64_t(kWarp) + slice;
  if (lane == 0 && column < columns) out[column] = add ? out[column] + total : total;
}

void sum_partials_cuda(const Tensor& partials, int64_t first, bool add, Tensor& out) {
  int64_t columns = out.elements();
  sum_partials<<<unsigned((columns + kWarp - 1) / kWarp), dim3(kWarp, kSlices), 0, stream_of(out)>>>(
      on_device<const float>(partials) + first, partials.shape()[0], partials.shape().columns(), add,
      on_device<float>(out), columns);
  check_launch("sum_partials");
}

const bool provided = column_partials_kernel.provide(Backend::cuda, column_partials_cuda) &&
                      sum_partials_kernel.provide(Backend::cuda, sum_partials_cuda);

}  // namespace
}  // namespace lathe
