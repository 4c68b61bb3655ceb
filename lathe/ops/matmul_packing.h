#pragma once

// Packing of operands into panels; for *.simd.cpp alone.

#include "lathe/ops/matmul_matrix.h"
#include "lathe/ops/matmul_tile.h"

namespace lathe::LATHE_ISA {

/// Part of an operand: `outer` rows of it from `first`, `steps` of depth from `first_step`.
struct Part {
  int64_t first, outer, first_step, steps;
};

inline const char* row_of(const Matrix& matrix, int64_t row) {
  return reinterpret_cast<const char*>(matrix.data) + row * matrix.stride * (matrix.dtype == DType::bf16 ? 2 : 4);
}

/// The step of one outer index as four bytes; what lies past the depth is 0.
inline uint32_t step_bits(const Matrix& matrix, int64_t outer, int64_t s) {
  uint32_t bits = 0;
  int64_t width = matrix.dtype == DType::bf16 ? 2 : 1, size = 4 / width;
  for (int64_t k = s * width, shift = 0; k < (s + 1) * width && k < matrix.depth; ++k, shift += 16) {
    uint32_t element = 0;
    const char* from = matrix.across ? row_of(matrix, k) + outer * size : row_of(matrix, outer) + k * size;
    __builtin_memcpy(&element, from, size_t(size));
    bits |= element << shift;
  }
  return bits;
}

/// to [steps, width] = the part's steps, 0 beyond part.outer; one element at a time.
inline void pack_simply(const Matrix& matrix, const Part& part, int64_t width, uint32_t* to) {
  for (int64_t s = 0; s < part.steps; ++s)
    for (int64_t i = 0; i < width; ++i)
      to[s * width + i] = i < part.outer ? step_bits(matrix, part.first + i, part.first_step + s) : 0;
}

/// to [2 steps, part.outer] f32 = both halves of each pair, for instruction sets that multiply no pairs.
inline void pack_widened(const Matrix& matrix, const Part& part, uint32_t* to) {
  for (int64_t s = 0; s < part.steps; ++s)
    for (int64_t i = 0; i < part.outer; ++i) {
      uint32_t bits = step_bits(matrix, part.first + i, part.first_step + s);
      to[2 * s * part.outer + i] = bits << 16;
      to[(2 * s + 1) * part.outer + i] = bits & 0xffff0000u;
    }
}

#ifdef LATHE_ISA_avx512

inline __mmask16 first_lanes(int64_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : __mmask16((1u << count) - 1);
}

typedef int32_t Lanes __attribute__((vector_size(64)));

/// Lanes of two vectors, by 32 and 64 bits within each quarter, and by whole quarters; g++ 12 warns of the intrinsics.
inline Lanes low_pairs(Lanes a, Lanes b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
inline Lanes high_pairs(Lanes a, Lanes b) {
  return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
inline Lanes low_quads(Lanes a, Lanes b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
inline Lanes high_quads(Lanes a, Lanes b) {
  return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
inline Lanes even_quarters(Lanes a, Lanes b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
}
inline Lanes odd_quarters(Lanes a, Lanes b) {
  return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

/// rows[i][j] <-> rows[j][i].
inline void transpose(Lanes (&rows)[16]) {
  Lanes other[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    other[i] = low_pairs(rows[i], rows[i + 1]);
    other[i + 1] = high_pairs(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    rows[i] = low_quads(other[i], other[i + 2]);
    rows[i + 1] = high_quads(other[i], other[i + 2]);
    rows[i + 2] = low_quads(other[i + 1], other[i + 3]);
    rows[i + 3] = high_quads(other[i + 1], other[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    Lanes even = even_quarters(rows[i], rows[4 + i]), odd = odd_quarters(rows[i], rows[4 + i]);
    Lanes even_below = even_quarters(rows[8 + i], rows[12 + i]), odd_below = odd_quarters(rows[8 + i], rows[12 + i]);
    other[i] = even_quarters(even, even_below);
    other[4 + i] = even_quarters(odd, odd_below);
    other[8 + i] = odd_quarters(even, even_below);
    other[12 + i] = odd_quarters(odd, odd_below);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) rows[i] = other[i];
}

/// Depth contiguous in memory: blocks of 16 x 16 steps, transposed in registers.
inline void pack_along(const Matrix& matrix, const Part& part, int64_t width, uint32_t* to) {
  bool pairs = matrix.dtype == DType::bf16;
  for (int64_t i = 0; i < width; i += 16) {
    int64_t outer = part.outer - i;
    __mmask16 lanes = first_lanes(width - i);
    for (int64_t s = 0; s < part.steps; s += 16) {
      int64_t halves = pairs ? matrix.depth - 2 * (part.first_step + s) : 2 * (part.steps - s);
      if (pairs && halves > 2 * (part.steps - s)) halves = 2 * (part.steps - s);
      __mmask32 valid = halves >= 32 ? ~0u : (1u << halves) - 1;
      Lanes rows[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r)
        rows[r] =
            r < outer
                ? Lanes(_mm512_maskz_loadu_epi16(valid, row_of(matrix, part.first + i + r) + (part.first_step + s) * 4))
                : Lanes{};
      transpose(rows);
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r)
        if (s + r < part.steps) _mm512_mask_storeu_epi32(to + (s + r) * width + i, lanes, __m512i(rows[r]));
    }
  }
}

/// Outer contiguous in memory: rows as they are, or two rows of bf16 interleaved.
inline void pack_across(const Matrix& matrix, const Part& part, int64_t width, uint32_t* to) {
  bool pairs = matrix.dtype == DType::bf16;
  for (int64_t s = 0; s < part.steps; ++s) {
    int64_t k = (part.first_step + s) * (pairs ? 2 : 1);
    for (int64_t i = 0; i < width; i += 16) {
      __mmask16 valid = first_lanes(part.outer - i);
      __m512i value;
      if (pairs) {
        auto row = [&](int64_t at) {
          __mmask16 there = at < matrix.depth ? valid : __mmask16(0);
          return _mm512_maskz_cvtepu16_epi32(
              there, _mm256_maskz_loadu_epi16(there, row_of(matrix, at) + (part.first + i) * 2));
        };
        value = _mm512_or_si512(row(k), _mm512_maskz_slli_epi32(valid, row(k + 1), 16));
      } else {
        value = _mm512_maskz_loadu_epi32(valid, row_of(matrix, k) + (part.first + i) * 4);
      }
      _mm512_mask_storeu_epi32(to + s * width + i, first_lanes(width - i), value);
    }
  }
}

inline void pack_columns(const Matrix& matrix, const Part& part, int64_t width, uint32_t* to) {
  matrix.across ? pack_across(matrix, part, width, to) : pack_along(matrix, part, width, to);
}
inline void pack_rows(const Matrix& matrix, const Part& part, uint32_t* to) {
  pack_columns(matrix, part, part.outer, to);
}

#else

inline void pack_columns(const Matrix& matrix, const Part& part, int64_t width, uint32_t* to) {
  pack_simply(matrix, part, width, to);
}
inline void pack_rows(const Matrix& matrix, const Part& part, uint32_t* to) {
  if (matrix.dtype == DType::bf16) return pack_widened(matrix, part, to);
  pack_simply(matrix, part, part.outer, to);
}

#endif

}  // namespace lathe::LATHE_ISA
