#include "lathe/optim/gradient_squares.h"

#include "lathe/optim/part_list.cuh"
#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"
#include "lathe/tensor/reduce.cuh"
#include "lathe/tensor/total.cuh"

namespace lathe {
namespace {

constexpr int kPack = 4;  // floats that a thread loads at once

struct Part {
  const float* values;
  int64_t count;
  bool packs;
};
using List = PartList<Part, 1000, kSquaresChunk>;
static_assert(sizeof(List) + sizeof(void*) <= kMostArgumentBytes);

/// A block a chunk.
__global__ void __launch_bounds__(kThreads) squares_of_chunks(const __grid_constant__ List list, float* partials) {
  int index = list.part_of(blockIdx.x);
  const Part& part = list.parts[index];
  int64_t begin = int64_t(blockIdx.x - list.first_block[index]) * kSquaresChunk;
  int64_t end = min(begin + kSquaresChunk, part.count), rest = part.packs ? end / kPack * kPack : begin;
  float sum = 0;
#pragma unroll 8
  for (int64_t at = begin + int(threadIdx.x) * kPack; at < rest; at += kThreads * kPack) {
    float x[kPack];
    load(part.values + at, x);
    sum += x[0] * x[0] + x[1] * x[1] + (x[2] * x[2] + x[3] * x[3]);
  }
  for (int64_t at = rest + threadIdx.x; at < end; at += kThreads) sum += part.values[at] * part.values[at];
  sum = over_block(sum, SumOf());
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

__global__ void total_of_partials(const float* partials, int64_t count, float* out) {
  double total = total_of(partials, count);
  if (threadIdx.x == 0) out[0] = float(total);
}

void launch(const List& list, float* partials, cudaStream_t stream) {
  if (list.blocks == 0) return;
  squares_of_chunks<<<list.blocks, kThreads, 0, stream>>>(list, partials);
  check_launch("gradient_squares");
}

void gradient_squares_cuda(std::span<const Tensor> gradients, Tensor& partials, Tensor& out) {
  List list;
  float* to = on_device<float>(partials);
  for (const Tensor& gradient : gradients) {
    Part part{on_device<const float>(gradient), gradient.elements(), packs_fit(kPack, kPack, {&gradient})};
    if (list.add(part)) continue;
    launch(list, to, stream_of(out));
    to += list.blocks;
    list.size = 0, list.blocks = 0;
    list.add(part);
  }
  launch(list, to, stream_of(out));
  total_of_partials<<<1, kAdders, 0, stream_of(out)>>>(on_device<const float>(partials), partials.elements(),
                                                       on_device<float>(out));
  check_launch("gradient_squares");
}

const bool provided = gradient_squares_kernel.provide(Backend::cuda, gradient_squares_cuda);

}  // namespace
}  // namespace lathe
