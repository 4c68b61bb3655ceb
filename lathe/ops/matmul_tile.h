#pragma once

// The register tile of blocked products; for *.simd.cpp alone.

#include <immintrin.h>

#include <cstddef>
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

/// What a step of the depth is: an f32; a pair of bf16 that one instruction multiplies; or a pair that is multiplied as
/// two f32, which packing has made of a, and the tile makes of b.
enum class Steps { f32, pairs, widened };
/// Elements of packed a in a step of one row.
constexpr int elements_of(Steps kind) { return kind == Steps::widened ? 2 : 1; }

/// Element `half` of each pair at `from`, as f32.
inline Vector load_element(const float* from, int half) {
#ifdef LATHE_ISA_avx512  // two bytes early, each first element is where the second would be
  return Vector(_mm512_maskz_loadu_epi16(0xaaaaaaaa, reinterpret_cast<const char*>(from) - 2 + 2 * half));
#else
  Integers pairs = Integers(load(from));
  return Vector(half == 0 ? pairs << 16 : pairs & int32_t(0xffff0000));
#endif
}

/// sum += a b, a step's part.
template <Steps kind>
inline void multiply_add(Vector& sum, const float* a, Vector b) {
#ifdef LATHE_ISA_avx512
  if constexpr (kind == Steps::pairs)
    sum = Vector(_mm512_dpbf16_ps(__m512(sum), __m512bh(_mm512_set1_ps(*a)), __m512bh(b)));
  else
    sum += *a * b;
#else
  sum += *a * b;
#endif
}

/// f32 as bf16, rounded to nearest even; avx512's instruction makes subnormal numbers 0.
inline uint16_t narrowed(float value) {
  uint32_t all;
  __builtin_memcpy(&all, &value, 4);
  if (kIsa == Isa::avx512 && (all & 0x7f800000u) == 0) all &= 0x80000000u;
  bool nan = (all & 0x7fffffffu) > 0x7f800000u;
  return nan ? uint16_t((all >> 16) | 64u) : uint16_t((all + 0x7fffu + ((all >> 16) & 1u)) >> 16);
}
inline float widened(uint16_t bits) {
  uint32_t all = uint32_t(bits) << 16;
  float value;
  __builtin_memcpy(&value, &all, 4);
  return value;
}
inline Vector load_widened(const uint16_t* from) {
#ifdef LATHE_ISA_avx512
  return Vector(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))), 16));
#else
  return Vector(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))), 16));
#endif
}
inline void store_narrowed(uint16_t* to, Vector value) {
#ifdef LATHE_ISA_avx512
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), __m256i(_mm512_cvtneps_pbh(__m512(value))));
#else
  for (int i = 0; i < kLanes; ++i) to[i] = narrowed(value[i]);
#endif
}

/// Where a tile's sums come from and go to.
struct TileEnds {
  float* sums;  ///< [rows, columns] f32, `stride` from one row to the next
  int64_t stride;
  bool add;                             ///< to what sums hold
  bool finish;                          ///< to `out`, with bias and residual; otherwise to `sums`
  bool narrow = false;                  ///< out and residual are bf16, else f32
  const float* bias = nullptr;          ///< for these columns
  const std::byte* residual = nullptr;  ///< of these rows and columns, like out
  std::byte* out = nullptr;
  int64_t out_stride = 0;  ///< elements
};

/// Writes lanes of a row of a tile, from column `at` on.
inline void finish(const TileEnds& ends, int64_t row, int64_t at, Vector value) {
  int64_t place = row * ends.out_stride + at;
  if (ends.bias) value += load(ends.bias + at);
  if (ends.narrow) {
    if (ends.residual) value += load_widened(reinterpret_cast<const uint16_t*>(ends.residual) + place);
    store_narrowed(reinterpret_cast<uint16_t*>(ends.out) + place, value);
  } else {
    if (ends.residual) value += load(reinterpret_cast<const float*>(ends.residual) + place);
    store(reinterpret_cast<float*>(ends.out) + place, value);
  }
}

/// [rows, panels x kTileColumns] = a b, which `ends` takes: `a` packed [steps, rows], b `panels` packed panels
/// [steps, kTileColumns] that lie `b_stride` elements apart.
template <int rows, int panels, Steps kind>
void tile(int64_t steps, const float* a, const float* b, int64_t b_stride, const TileEnds& ends) {
  constexpr int kAhead = rows == kTileRows ? 8 * kTileColumns : 0;  // elements of b, which comes from L2
  Vector sums[rows][2 * panels];
  const float* from = ends.sums;
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < 2 * panels; ++v) sums[r][v] = ends.add ? load(from + r * ends.stride + v * kLanes) : Vector{};
  for (int64_t s = 0; s < steps; ++s) {
#pragma GCC unroll 16
    for (int p = 0; p < panels; ++p) {
      auto meet = [&](const float* part, Vector b0, Vector b1) {
#pragma GCC unroll 16
        for (int r = 0; r < rows; ++r) {
          multiply_add<kind>(sums[r][2 * p], part + r, b0);
          multiply_add<kind>(sums[r][2 * p + 1], part + r, b1);
        }
      };
      const float* from_b = b + p * b_stride;
      if constexpr (kind != Steps::widened) {
        if (kAhead) __builtin_prefetch(from_b + kAhead), __builtin_prefetch(from_b + kAhead + kLanes);
        meet(a, load(from_b), load(from_b + kLanes));
        continue;
      }
      if (kAhead) __builtin_prefetch(from_b + kAhead), __builtin_prefetch(from_b + kAhead + kLanes);
      int halves = 2;
#ifdef LATHE_ISA_avx512
      asm("" : "+r"(halves));  // unrolled, both halves at once would need more registers than there are
#endif
      for (int half = 0; half < halves; ++half)
        meet(a + half * rows, load_element(from_b, half), load_element(from_b + kLanes, half));
    }
    a += rows * elements_of(kind);
    b += kTileColumns;
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < 2 * panels; ++v) {
      if (ends.finish)
        finish(ends, r, v * kLanes, sums[r][v]);
      else
        store(ends.sums + r * ends.stride + v * kLanes, sums[r][v]);
    }
}

using Tile = void (*)(int64_t steps, const float* a, const float* b, int64_t b_stride, const TileEnds& ends);

}  // namespace lathe::LATHE_ISA
