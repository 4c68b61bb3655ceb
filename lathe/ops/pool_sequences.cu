#include "lathe/ops/pool_sequences.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

__device__ float share(Pooling pooling, int i, int count) {
  float n = float(count);
  if (pooling == Pooling::mean) return 1.0f / n;
  if (pooling == Pooling::mean_sqrt_length) return rsqrtf(n);
  if (pooling == Pooling::weighted_mean) return 2.0f * float(i + 1) / (n * (n + 1.0f));
  return i == (pooling == Pooling::first ? 0 : count - 1) ? 1.0f : 0.0f;
}

/// A thread a column of a sequence: grid [columns / kThreads, sequences].
template <class T>
__global__ void pool_kernel(const T* x, const int32_t* offsets, int columns, Pooling pooling, float* out) {
  int column = int(blockIdx.x * blockDim.x + threadIdx.x), first = offsets[blockIdx.y];
  int count = offsets[blockIdx.y + 1] - first;
  if (column >= columns) return;
  float pooled = pooling == Pooling::max && count > 0 ? -INFINITY : 0.0f;
  for (int i = 0; i < count; ++i) {
    float value[1];
    load(x + int64_t(first + i) * columns + column, value);
    if (pooling == Pooling::max)
      pooled = fmaxf(pooled, value[0]);
    else
      pooled += share(pooling, i, count) * value[0];
  }
  out[int64_t(blockIdx.y) * columns + column] = pooled;
}

template <class T>
__global__ void pool_backward_kernel(const T* x, const int32_t* offsets, int columns, Pooling pooling, const float* dy,
                                     T* dx) {
  int column = int(blockIdx.x * blockDim.x + threadIdx.x), first = offsets[blockIdx.y];
  int count = offsets[blockIdx.y + 1] - first, largest = 0;
  if (column >= columns) return;
  float most = -INFINITY;
  for (int i = 0; pooling == Pooling::max && i < count; ++i) {
    float value[1];
    load(x + int64_t(first + i) * columns + column, value);
    if (value[0] > most) most = value[0], largest = i;
  }
  float gradient = dy[int64_t(blockIdx.y) * columns + column];
  for (int i = 0; i < count; ++i) {
    float weight = pooling == Pooling::max ? (i == largest ? 1.0f : 0.0f) : share(pooling, i, count);
    float value[1] = {weight * gradient};
    store(value, dx + int64_t(first + i) * columns + column);
  }
}

dim3 grid_of(const Tensor& pooled) {
  return dim3(unsigned((pooled.shape()[1] + kThreads - 1) / kThreads), unsigned(pooled.shape()[0]));
}

void pool_sequences_cuda(const Tensor& x, const Tensor& offsets, Pooling pooling, Tensor& out) {
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    pool_kernel<<<grid_of(out), kThreads, 0, stream_of(out)>>>(on_device<const T>(x), on_device<const int32_t>(offsets),
                                                               int(x.shape()[1]), pooling, on_device<float>(out));
  });
  check_launch("pool_sequences");
}

void pool_sequences_backward_cuda(const Tensor& x, const Tensor& offsets, Pooling pooling, const Tensor& dy,
                                  Tensor& dx) {
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    pool_backward_kernel<<<grid_of(dy), kThreads, 0, stream_of(dx)>>>(
        on_device<const T>(x), on_device<const int32_t>(offsets), int(x.shape()[1]), pooling,
        on_device<const float>(dy), on_device<T>(dx));
  });
  check_launch("pool_sequences_backward");
}

const bool provided = pool_sequences_kernel.provide(Backend::cuda, pool_sequences_cuda) &&
                      pool_sequences_backward_kernel.provide(Backend::cuda, pool_sequences_backward_cuda);

}  // namespace
}  // namespace lathe
