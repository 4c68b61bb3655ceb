#include "lathe/nn/normal.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"
#include "lathe/tensor/random.cuh"

namespace lathe {
namespace {

/// Box and Muller 1958, as Random::normal().
__device__ float normal_of(uint32_t a, uint32_t b) {
  float radius = sqrtf(-2.0f * logf((float(a >> 8) + 1.0f) * 0x1p-24f));
  return radius * cospif(2.0f * (float(b >> 8) * 0x1p-24f));
}

/// Where the rows lie in the named tensor: element (row, column) has number first + row * stride + column.
struct Place {
  int64_t first, stride, rows, columns;
};

/// A thread draws numbers 2 p and 2 p + 1; a grid-stride loop over the pairs that rows of `place` touch.
__global__ void draw_normal(uint64_t key, float deviation, Place place, float* out) {
  int64_t pairs = place.columns / 2 + 1;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < place.rows * pairs;
       i += int64_t(gridDim.x) * blockDim.x) {
    int64_t row = i / pairs, first = place.first + row * place.stride;
    uint64_t pair = uint64_t(first / 2 + i % pairs);
    uint4 bits = philox({uint32_t(pair), uint32_t(pair >> 32), 0, 0}, key);
    float drawn[2] = {normal_of(bits.x, bits.y), normal_of(bits.z, bits.w)};
#pragma unroll
    for (int of = 0; of < 2; ++of) {
      int64_t column = int64_t(pair) * 2 + of - first;
      if (column >= 0 && column < place.columns) out[row * place.columns + column] = deviation * drawn[of];
    }
  }
}

void normal_cuda(const Random& random, float deviation, const Slice& slice, Tensor& rows) {
  if (rows.elements() == 0) return;
  Place place{slice.first_row * slice.whole_columns + slice.first_column, slice.whole_columns, slice.rows,
              slice.columns};
  draw_normal<<<blocks_for(place.rows * (place.columns / 2 + 1)), kThreads, 0, stream_of(rows)>>>(
      random.key(), deviation, place, on_device<float>(rows));
  check_launch("initialize_normal");
}

const bool provided = normal_kernel.provide(Backend::cuda, normal_cuda);

}  // namespace
}  // namespace lathe
