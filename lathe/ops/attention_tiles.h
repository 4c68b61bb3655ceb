#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lathe/tensor/dtype.h"

/// Tile arithmetic of the attention kernels; included by .simd.cpp files alone, once for each instruction set.
/// A tile is padded with zeros to whole vectors, so no loop here has a remainder.
namespace lathe::LATHE_ISA {

#ifdef LATHE_ISA_avx512
using Vector = __m512;
constexpr int kLanes = 16, kRows = 8;  ///< rows of a register tile, two vectors wide: 16 accumulators of 32 registers
inline Vector load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Vector x) { _mm512_storeu_ps(to, x); }
inline Vector all(float x) { return _mm512_set1_ps(x); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
inline Vector larger(Vector a, Vector b) { return _mm512_max_ps(a, b); }
inline Vector smaller(Vector a, Vector b) { return _mm512_min_ps(a, b); }
inline float first_lane(Vector x) { return _mm512_cvtss_f32(x); }
#else
using Vector = __m256;
constexpr int kLanes = 8, kRows = 4;
inline Vector load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Vector x) { _mm256_storeu_ps(to, x); }
inline Vector all(float x) { return _mm256_set1_ps(x); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
inline Vector larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }
inline Vector smaller(Vector a, Vector b) { return _mm256_min_ps(a, b); }
inline float first_lane(Vector x) { return _mm256_cvtss_f32(x); }
#endif
constexpr int kPanel = 2 * kLanes;  ///< columns of a register tile
constexpr float kLog2e = 1.44269504f;

/// 2^x for x <= 127, within 2e-7, 1 for 0; 0 below -126 and for -inf. Minimax fit of degree 5 on [-1/2, 1/2].
inline Vector exp2_of(Vector x) {
#ifdef LATHE_ISA_avx512
  __mmask16 counts = _mm512_cmp_ps_mask(x, all(-126), _CMP_GE_OQ);
  Vector whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), f = x - whole;
#else
  Vector counts = _mm256_cmp_ps(x, all(-126), _CMP_GE_OQ);
  x = larger(x, all(-126));
  Vector whole = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), f = x - whole;
#endif
  Vector y = multiply_add(f, all(0.0013264727f), all(0.009671513f));
  y = multiply_add(f, y, all(0.055507336f));
  y = multiply_add(f, y, all(0.24022242f));
  y = multiply_add(f, y, all(0.693147f));
  y = multiply_add(f, y, all(1));
#ifdef LATHE_ISA_avx512
  return _mm512_maskz_scalef_ps(counts, y, whole);
#else
  __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(whole), 23);
  return _mm256_and_ps(counts, _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(y), exponent)));
#endif
}

/// How a tile holds numbers: units of 32 bits, each one f32.
struct F32Units {
  using Unit = float;
  static constexpr int kDepth = 1;  ///< numbers in a unit, neighbours along the axis that a product sums over
  static Vector multiply_add_unit(const Unit* a, Vector b, Vector sum) { return multiply_add(all(*a), b, sum); }
};

#ifdef LATHE_ISA_avx512
/// Each unit two bf16, so that one instruction multiplies and adds both.
struct BF16Units {
  using Unit = float;  ///< bits only
  static constexpr int kDepth = 2;
  static Vector multiply_add_unit(const Unit* a, Vector b, Vector sum) {
    return _mm512_dpbf16_ps(sum, __m512bh(all(*a)), __m512bh(b));
  }
};
#endif

/// One operand of a product: element (i, k) at data[i * stride + k], or data[k * stride + i] when kAcross.
struct Operand {
  const float* data;
  int64_t stride;
};

/// c [kRows, kVectors] = a * b, or += where `add`; b (k, column) at b.data[k * b.stride + column].
template <class Units, bool kAcross, int kVectors>
inline void register_tile(Operand a, Operand b, float* c, int64_t c_stride, int64_t depth, bool add) {
  Vector sums[kRows][kVectors];
  for (auto& row : sums)
    for (Vector& sum : row) sum = all(0);
  for (int64_t k = 0; k < depth; ++k) {
    Vector columns[kVectors];
    for (int n = 0; n < kVectors; ++n) columns[n] = load(b.data + k * b.stride + n * kLanes);
    for (int i = 0; i < kRows; ++i) {
      const float* unit = kAcross ? a.data + k * a.stride + i : a.data + i * a.stride + k;
      for (int n = 0; n < kVectors; ++n) sums[i][n] = Units::multiply_add_unit(unit, columns[n], sums[i][n]);
    }
  }
  for (int i = 0; i < kRows; ++i)
    for (int n = 0; n < kVectors; ++n) {
      float* to = c + i * c_stride + n * kLanes;
      store(to, add ? load(to) + sums[i][n] : sums[i][n]);
    }
}

/// c [rows, columns] = a [rows, depth] * b [depth, columns], or += where `add`; depth in units, rows a multiple of
/// kRows, columns of kLanes.
template <class Units, bool kAcross>
void product(Operand a, Operand b, float* c, int64_t c_stride, int64_t rows, int64_t columns, int64_t depth, bool add) {
  for (int64_t column = 0; column < columns; column += kPanel)
    for (int64_t row = 0; row < rows; row += kRows) {
      Operand from{a.data + row * (kAcross ? 1 : a.stride), a.stride}, panel{b.data + column, b.stride};
      float* to = c + row * c_stride + column;
      if (columns - column >= kPanel)
        register_tile<Units, kAcross, 2>(from, panel, to, c_stride, depth, add);
      else
        register_tile<Units, kAcross, 1>(from, panel, to, c_stride, depth, add);
    }
}

/// to [columns, rows] = from [rows, columns] transposed, in units; both multiples of 4.
inline void transpose(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows,
                      int64_t columns) {
  for (int64_t i = 0; i < rows; i += 4)
    for (int64_t j = 0; j < columns; j += 4) {
      const float* corner = from + i * from_stride + j;
      __m128 a = _mm_loadu_ps(corner), b = _mm_loadu_ps(corner + from_stride);
      __m128 c = _mm_loadu_ps(corner + 2 * from_stride), d = _mm_loadu_ps(corner + 3 * from_stride);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      float* there = to + j * to_stride + i;
      _mm_storeu_ps(there, a);
      _mm_storeu_ps(there + to_stride, b);
      _mm_storeu_ps(there + 2 * to_stride, c);
      _mm_storeu_ps(there + 3 * to_stride, d);
    }
}

/// Numbers of `to` f32 or bf16 elements, from the other type or the same.
template <class From, class To>
inline void convert_row(const From* from, To* to, int64_t count) {
  constexpr int64_t kStored = kLanes * 4 / int64_t(sizeof(To));  // in a vector: heads are a few, a call costs more
  if constexpr (std::is_same_v<From, To>) {
    int64_t i = 0;
    for (; i + kStored <= count; i += kStored)
      store(reinterpret_cast<float*>(to + i), load(reinterpret_cast<const float*>(from + i)));
    if (i < count) std::memcpy(to + i, from + i, size_t(count - i) * sizeof(To));
  } else
    for (int64_t i = 0; i < count; ++i) to[i] = To(float(from[i]));
}

/// The type of the numbers in a tile of Units.
template <class Units>
using Number = std::conditional_t<Units::kDepth == 1, float, BF16>;

/// A tile [padded, dim] of `count` rows of `width` numbers that lie `stride` apart; the rest zeros.
template <class Units, class T>
void copy_rows(const T* from, int64_t stride, int64_t count, int64_t width, float* tile, int64_t to_count,
               int64_t dim) {
  auto* to = reinterpret_cast<Number<Units>*>(tile);
  for (int64_t i = 0; i < count; ++i, to += dim) {
    convert_row(from + i * stride, to, width);
    if (width < dim) std::memset(static_cast<void*>(to + width), 0, size_t(dim - width) * sizeof(*to));
  }
  std::memset(static_cast<void*>(to), 0, size_t((to_count - count) * dim) * sizeof(*to));
}

/// units [rows / kDepth, dim] of a tile [rows, dim] of numbers: each holds neighbours of a column.
template <class Units>
void pair_rows(const float* tile, float* units, int64_t rows, int64_t dim);

/// The same units of an f32 tile [rows, columns] in lines of `stride`; `rounded`, if not null, gets the numbers by
/// rows.
template <class Units>
void round_and_pair(const float* tile, int64_t stride, float* units, float* rounded, int64_t rows, int64_t columns);

#ifdef LATHE_ISA_avx512
/// 32 bf16: lanes of a and b in turn.
inline __m512i zipped(__m256i a, __m256i b) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}

template <>
inline void pair_rows<BF16Units>(const float* tile, float* units, int64_t rows, int64_t dim) {
  const auto* from = reinterpret_cast<const BF16*>(tile);
  for (int64_t i = 0; i < rows; i += 2)
    for (int64_t d = 0; d < dim; d += 16) {
      __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i * dim + d));
      __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + (i + 1) * dim + d));
      _mm512_storeu_si512(units + i / 2 * dim + d, zipped(a, b));
    }
}

template <>
inline void round_and_pair<BF16Units>(const float* tile, int64_t stride, float* units, float* rounded, int64_t rows,
                                      int64_t columns) {
  for (int64_t i = 0; i < rows; i += 2)
    for (int64_t d = 0; d < columns; d += 16) {
      __m256i a = __m256i(_mm512_cvtneps_pbh(load(tile + i * stride + d)));
      __m256i b = __m256i(_mm512_cvtneps_pbh(load(tile + (i + 1) * stride + d)));
      if (units) _mm512_storeu_si512(units + i / 2 * stride + d, zipped(a, b));
      if (!rounded) continue;
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(rounded + (i * stride + d) / 2), a);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(rounded + ((i + 1) * stride + d) / 2), b);
    }
}
#endif

}  // namespace lathe::LATHE_ISA
