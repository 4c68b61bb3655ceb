#include "lathe/ops/relative_bias.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

/// RelativeBuckets as a kernel's argument.
struct Buckets {
  int32_t starts[RelativeBuckets::kMostOfSide];
  int of_side, zero;
  bool both_ways;
  __device__ int of_column(int column) const {
    int distance = column - zero, size = both_ways ? abs(distance) : max(-distance, 0), bucket = 0;
    while (bucket + 1 < of_side && starts[bucket + 1] <= size) ++bucket;
    return both_ways && distance > 0 ? of_side + bucket : bucket;
  }
};

Buckets on_device(const RelativeBuckets& buckets) {
  Buckets copy{{}, int(buckets.of_side), int(buckets.zero()), buckets.both_ways};
  std::copy(buckets.starts.begin(), buckets.starts.end(), copy.starts);
  return copy;
}

/// A thread a number of out [heads, distances].
__global__ void bias_kernel(const float* table, Buckets buckets, int heads, int distances, float* out) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < heads * distances) out[i] = table[buckets.of_column(i % distances) * heads + i / distances];
}

/// A thread a number of dtable [buckets, heads], which goes through all columns in order.
__global__ void bias_backward_kernel(const float* dy, Buckets buckets, int heads, int distances, int rows,
                                     float* dtable) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= rows * heads) return;
  float sum = 0.0f;
  for (int column = 0; column < distances; ++column)
    if (buckets.of_column(column) == i / heads) sum += dy[(i % heads) * distances + column];
  dtable[i] = sum;
}

unsigned all_blocks(int64_t count) { return unsigned((count + kThreads - 1) / kThreads); }

void relative_bias_cuda(const Tensor& table, const RelativeBuckets& buckets, Tensor& out) {
  bias_kernel<<<all_blocks(out.elements()), kThreads, 0, stream_of(out)>>>(on_device<const float>(table),
                                                                           on_device(buckets), int(out.shape()[0]),
                                                                           int(out.shape()[1]), on_device<float>(out));
  check_launch("relative_bias");
}

void relative_bias_backward_cuda(const Tensor& dy, const RelativeBuckets& buckets, Tensor& dtable) {
  bias_backward_kernel<<<all_blocks(dtable.elements()), kThreads, 0, stream_of(dtable)>>>(
      on_device<const float>(dy), on_device(buckets), int(dy.shape()[0]), int(dy.shape()[1]), int(dtable.shape()[0]),
      on_device<float>(dtable));
  check_launch("relative_bias_backward");
}

const bool provided = relative_bias_kernel.provide(Backend::cuda, relative_bias_cuda) &&
                      relative_bias_backward_kernel.provide(Backend::cuda, relative_bias_backward_cuda);

}  // namespace
}  // namespace lathe
