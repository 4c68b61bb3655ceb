#pragma once

// 16 vectors of 16 lanes, transposed in registers; for *.simd.cpp alone, of AVX-512.

#include <immintrin.h>

#include <cstdint>

#ifdef LATHE_ISA_avx512

namespace lathe::LATHE_ISA {

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

}  // namespace lathe::LATHE_ISA

#endif
