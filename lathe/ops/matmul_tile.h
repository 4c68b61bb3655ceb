#pragma once

// The register tile of blocked products; for *.simd.cpp alone.

#include <immintrin.h>

#include <cstdint>

#include "lathe/ops/matmul_blocks.h"

namespace lathe::LATHE_ISA {

constexpr Isa kIsa = Isa::LATHE_ISA;
constexpr int kTileRows = int(tile_of(kIsa).rows), kTileColumns = int(tile_of(kIsa).columns);
constexpr int kLanes = kTileColumns / 2;
typedef float Vector __attribute__((vector_size(kLanes * 4)));
typedef float LooseVector __attribute__((vector_size(kLanes * 4), aligned(4)));
typedef int32_t Integers __attribute__((vector_size(kLanes * 4)));

inline Vector load(const float* from) { return *reinterpret_cast<const LooseVector*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<LooseVector*>(to) = value; }

/// Elements of packed `a` in one step of one row: avx2 has no product of bf16 pairs, so packing widens a.
constexpr int a_width(bool pairs) { return pairs && kIsa == Isa::avx2 ? 2 : 1; }

/// sum += a b for one step: f32, or a pair of bf16.
template <bool pairs>
inline void step(Vector& sum, const float* a, int64_t a_rows, Vector b) {
  if constexpr (!pairs) {
    sum += *a * b;
  } else {
#ifdef LATHE_ISA_avx512
    sum = Vector(_mm512_dpbf16_ps(__m512(sum), __m512bh(_mm512_set1_ps(*a)), __m512bh(b)));
#else
    sum += a[0] * Vector(Integers(b) << 16);
    sum += a[a_rows] * Vector(Integers(b) & int32_t(0xffff0000));
#endif
  }
  (void)a_rows;
}

/// c [rows, panels x kTileColumns] = a b, or += when `add`: `a` packed [steps, rows], b `panels` packed panels
/// [steps, kTileColumns] that lie `b_stride` elements apart.
template <int rows, int panels, bool pairs>
void tile(int64_t steps, const float* a, const float* b, int64_t b_stride, float* c, int64_t c_stride, bool add) {
  Vector sums[rows][2 * panels];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < 2 * panels; ++v) sums[r][v] = add ? load(c + r * c_stride + v * kLanes) : Vector{};
  for (int64_t s = 0; s < steps; ++s) {
#pragma GCC unroll 16
    for (int p = 0; p < panels; ++p) {
      Vector b0 = load(b + p * b_stride), b1 = load(b + p * b_stride + kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        step<pairs>(sums[r][2 * p], a + r, rows, b0);
        step<pairs>(sums[r][2 * p + 1], a + r, rows, b1);
      }
    }
    a += rows * a_width(pairs);
    b += kTileColumns;
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < 2 * panels; ++v) store(c + r * c_stride + v * kLanes, sums[r][v]);
}

using Tile = void (*)(int64_t steps, const float* a, const float* b, int64_t b_stride, float* c, int64_t c_stride,
                      bool add);

}  // namespace lathe::LATHE_ISA
