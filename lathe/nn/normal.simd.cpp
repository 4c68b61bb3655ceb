#include "lathe/nn/normal.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/lanes.h"
#include "lathe/tensor/philox.h"

namespace lathe::LATHE_ISA {
namespace {

constexpr int64_t kPairs = 256;  // drawn at a time

/// Normal numbers 2 p and 2 p + 1 for p of [first, first + kPairs): Random::normal(). First their bits, a pair a lane
/// of 64, then a number a lane of 32.
void draw_pairs(uint64_t key, uint64_t first, float deviation, float* to) {
  uint32_t radius_bits[2 * kPairs], turn_bits[2 * kPairs];
#pragma omp simd
  for (int64_t pair = 0; pair < kPairs; ++pair) {
    uint64_t counter = first + uint64_t(pair);
    PhiloxWords bits = philox({counter, counter >> 32, 0, 0}, key);
    radius_bits[2 * pair] = uint32_t(bits.x);
    turn_bits[2 * pair] = uint32_t(bits.y);
    radius_bits[2 * pair + 1] = uint32_t(bits.z);
    turn_bits[2 * pair + 1] = uint32_t(bits.w);
  }
#pragma omp simd
  for (int64_t i = 0; i < 2 * kPairs; ++i) {
    float radius = __builtin_sqrtf(-2.0f * log_of((float(int32_t(radius_bits[i] >> 8)) + 1.0f) * 0x1p-24f));
    to[i] = deviation * radius * -cos_of_turns(float(int32_t(turn_bits[i] >> 8)) * 0x1p-24f - 0.5f);
  }
}

void normal_simd(const Random& random, float deviation, const Slice& slice, Tensor& rows) {
  float* to = rows.data<float>();
  uint64_t key = random.key();
#pragma omp parallel for schedule(static) if (rows.elements() > kParallelElements)
  for (int64_t r = 0; r < slice.rows; ++r) {
    int64_t first = (slice.first_row + r) * slice.whole_columns + slice.first_column, end = first + slice.columns;
    float drawn[2 * kPairs];
    for (int64_t block = first / 2 * 2; block < end; block += 2 * kPairs) {
      draw_pairs(key, uint64_t(block / 2), deviation, drawn);
      int64_t from = block < first ? first : block, until = block + 2 * kPairs < end ? block + 2 * kPairs : end;
      __builtin_memcpy(to + r * slice.columns + from - first, drawn + from - block,
                       size_t(until - from) * sizeof(float));
    }
  }
}

const bool provided = normal_kernel.provide(kThisIsa, normal_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
