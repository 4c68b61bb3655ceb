#include "lathe/nn/normal.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

constexpr int64_t kPairs = 256;  // drawn at a time

/// Normal numbers 2 p and 2 p + 1 for p of [first, first + kPairs): Random::normal(), a pair a lane.
void draw_pairs(uint64_t key, uint64_t first, float deviation, float* to) {
#pragma omp simd
  for (int64_t pair = 0; pair < kPairs; ++pair) {
    uint64_t counter = first + uint64_t(pair);
    uint32_t c0 = uint32_t(counter), c1 = uint32_t(counter >> 32), c2 = 0, c3 = 0;
    uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
    for (int round = 0; round < 10; ++round) {
      uint64_t p0 = uint64_t(0xd2511f53u) * c0, p1 = uint64_t(0xcd9e8d57u) * c2;
      c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
      c1 = uint32_t(p1);
      c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
      c3 = uint32_t(p0);
      k0 += 0x9e3779b9u;
      k1 += 0xbb67ae85u;
    }
    auto normal = [deviation](uint32_t a, uint32_t b) {
      float radius = __builtin_sqrtf(-2.0f * log_of((float(int32_t(a >> 8)) + 1.0f) * 0x1p-24f));
      return deviation * radius * -cos_of_turns(float(int32_t(b >> 8)) * 0x1p-24f - 0.5f);
    };
    to[2 * pair] = normal(c0, c1);
    to[2 * pair + 1] = normal(c2, c3);
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
