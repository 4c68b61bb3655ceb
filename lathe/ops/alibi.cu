#include "lathe/ops/alibi.h"

#include "lathe/base/error.h"
#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

constexpr int kMostHeads = 256;

/// Slopes of the heads: constants of the launch.
struct Slopes {
  float of_head[kMostHeads];
};

/// A thread for each element, in a grid-stride loop.
__global__ void alibi_rows(const __grid_constant__ Slopes slopes, int64_t heads, int64_t distances, float* bias) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < heads * distances;
       i += int64_t(gridDim.x) * blockDim.x)
    bias[i] = slopes.of_head[i / distances] * float(i % distances - (distances - 1));
}

void alibi_cuda(int64_t all_heads, int64_t first_head, float factor, Tensor& bias) {
  int64_t heads = bias.shape()[0], distances = bias.shape()[1];
  require(heads <= kMostHeads, "alibi: on a GPU at most ", kMostHeads, " heads, not ", heads);
  Slopes slopes;
  for (int64_t i = 0; i < heads; ++i) slopes.of_head[i] = float(alibi_slope(first_head + i, all_heads)) * factor;
  alibi_rows<<<blocks_for(heads * distances), kThreads, 0, stream_of(bias)>>>(slopes, heads, distances,
                                                                              on_device<float>(bias));
  check_launch("alibi");
}

const bool provided = alibi_kernel.provide(Backend::cuda, alibi_cuda);

}  // namespace
}  // namespace lathe
