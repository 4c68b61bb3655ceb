#include "lathe/ops/dropout.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"
#include "lathe/tensor/random.cuh"
#include "lathe/tensor/reduce.cuh"

namespace lathe {
namespace {

constexpr int kVector = 8;    // elements that one Philox block decides about, 16 columns apart
constexpr int kOfWarp = 256;  // columns of a warp: two groups of 16 such blocks

/// Draws for 8 columns, 16 apart, and returns which of 8 neighbouring columns, those of this lane, are kept: bit i for
/// column 8 * lane + i. All lanes of the warp must call.
__device__ uint32_t kept_neighbours(uint64_t token, uint32_t block, const DropoutRule& rule) {
  uint4 drawn = philox({uint32_t(token), uint32_t(token >> 32), block, 0}, rule.key);
  uint32_t words[4] = {drawn.x, drawn.y, drawn.z, drawn.w};
  int lane = int(threadIdx.x) % kWarp;
  uint32_t found = 0;
#pragma unroll
  for (int v = 0; v < kVector; ++v) {
    uint32_t bits = words[v / 2] >> (v % 2 * 16) & 0xffffu;
    uint32_t kept = __ballot_sync(~0u, bits < rule.threshold);  // bit l: column 16 v + l; bit 16 + l: one group on
    if (lane % 16 / 2 == v) found = kept;
  }
  return found >> (lane / 16 * 16 + lane % 2 * 8) & 0xffu;
}

/// A warp takes 256 columns of a row, each lane 8 neighbours of them; a grid-stride loop over all.
template <class T, class Key>
__global__ void drop(const T* x, const Key* keys, int64_t rows, int64_t columns, bool packs, DropoutRule rule, T* out) {
  int64_t parts = (columns + kOfWarp - 1) / kOfWarp, lane = threadIdx.x % kWarp;
  int64_t step = int64_t(gridDim.x) * blockDim.x / kWarp;
  for (int64_t i = (blockIdx.x * int64_t(blockDim.x) + threadIdx.x) / kWarp; i < rows * parts; i += step) {
    int64_t row = i / parts, part = i % parts;
    int64_t group = 2 * part + lane / 16;
    uint32_t kept = kept_neighbours(uint64_t(int64_t(keys[row])), uint32_t(16 * group + lane % 16), rule);
    int64_t first = part * kOfWarp + lane * kVector, at = row * columns + first;
    if (packs && first < columns) {
      float values[kVector];
      load(x + at, values);
#pragma unroll
      for (int v = 0; v < kVector; ++v) values[v] = kept >> v & 1 ? values[v] * rule.scale : 0.0f;
      store(values, out + at);
    } else {
      for (int v = 0; v < kVector && first + v < columns; ++v)
        out[at + v] = from_float<T>(kept >> v & 1 ? to_float(x[at + v]) * rule.scale : 0.0f);
    }
  }
}

void dropout_cuda(const Tensor& x, const Tensor& token_keys, DropoutRule rule, Tensor& out) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  if (x.elements() == 0) return;
  bool packs = packs_fit(kVector, columns, {&x, &out});
  unsigned blocks = blocks_for(rows * ((columns + kOfWarp - 1) / kOfWarp) * kWarp);
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    auto launch = [&]<class Key>(const Key* keys) {
      drop<<<blocks, kThreads, 0, stream_of(out)>>>(on_device<const T>(x), keys, rows, columns, packs, rule,
                                                    on_device<T>(out));
    };
    if (token_keys.dtype() == DType::i64)
      launch(on_device<const int64_t>(token_keys));
    else
      launch(on_device<const int32_t>(token_keys));
    check_launch("dropout");
  });
}

const bool provided = dropout_kernel.provide(Backend::cuda, dropout_cuda);

}  // namespace
}  // namespace lathe
