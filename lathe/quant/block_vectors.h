#pragma once

// Vectors of codes and of sums; for *.simd.cpp alone.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "lathe/base/isa.h"

namespace lathe::LATHE_ISA {

constexpr Isa kVectorIsa = Isa::LATHE_ISA;

#ifdef LATHE_ISA_avx512

using Codes = __m512i;  ///< bytes: 4 consecutive elements of each of kLanes rows
using Sums = __m512;    ///< f32, one a row
constexpr int kLanes = 16;

inline Codes load_codes(const void* from) { return _mm512_loadu_si512(from); }
inline void store_codes(void* to, Codes codes) { _mm512_storeu_si512(to, codes); }
inline Codes all_bytes(int value) { return _mm512_set1_epi8(char(value)); }
inline Codes all_lanes(int32_t value) { return _mm512_set1_epi32(value); }
inline Codes both(Codes a, Codes b) { return _mm512_and_si512(a, b); }
inline Codes either(Codes a, Codes b) { return _mm512_or_si512(a, b); }
template <int bits>
inline Codes right(Codes a) {
  if constexpr (bits == 0) return a;
  return _mm512_srli_epi16(a, bits);
}
template <int bits>
inline Codes left(Codes a) {
  if constexpr (bits == 0) return a;
  return _mm512_slli_epi16(a, bits);
}
inline Codes looked_up(const int8_t* table, Codes nibbles) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))), nibbles);
}
/// sum += the products of 4 codes and 4 signed bytes a lane.
template <bool signed_codes>
inline Codes dot(Codes sum, Codes codes, Codes x) {
  static_assert(!signed_codes);
  return _mm512_dpbusd_epi32(sum, codes, x);
}

inline Sums load_sums(const float* from) { return _mm512_loadu_ps(from); }
inline void store_sums(float* to, Sums sums) { _mm512_storeu_ps(to, sums); }
inline Sums all_sums(float value) { return _mm512_set1_ps(value); }
inline Sums as_sums(Codes integers) { return _mm512_maskz_cvtepi32_ps(0xffff, integers); }
inline Codes rounded(Sums sums) { return _mm512_maskz_cvtps_epi32(0xffff, sums); }
inline Sums sums_with_bits(Codes bits) { return _mm512_castsi512_ps(bits); }
inline Sums times(Sums a, Sums b) { return _mm512_mul_ps(a, b); }
inline Sums plus_product(Sums sum, Sums a, Sums b) { return _mm512_fmadd_ps(a, b, sum); }
inline Sums minus_product(Sums sum, Sums a, Sums b) { return _mm512_fnmadd_ps(a, b, sum); }
// The forms with a mask: g++ 12 warns of the others' undefined vectors.
inline Sums halves(const void* from) {
  return _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(static_cast<const __m256i*>(from)));
}
inline Codes widened_signed(const void* from) {
  return _mm512_maskz_cvtepi8_epi32(0xffff, _mm_loadu_si128(static_cast<const __m128i*>(from)));
}
inline Codes widened_unsigned(const void* from) {
  return _mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(static_cast<const __m128i*>(from)));
}
/// 2^(exponent - 128) of bytes; the two smallest are subnormal.
inline Sums halves_of_powers(Codes exponents) {
  Codes normal = _mm512_slli_epi32(_mm512_sub_epi32(exponents, _mm512_set1_epi32(1)), 23);
  Codes small = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), exponents);
  return sums_with_bits(
      _mm512_mask_blend_epi32(_mm512_cmplt_epi32_mask(exponents, _mm512_set1_epi32(2)), normal, small));
}

#else

using Codes = __m256i;
using Sums = __m256;
constexpr int kLanes = 8;

inline Codes load_codes(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
inline void store_codes(void* to, Codes codes) { _mm256_storeu_si256(static_cast<__m256i*>(to), codes); }
inline Codes all_bytes(int value) { return _mm256_set1_epi8(char(value)); }
inline Codes all_lanes(int32_t value) { return _mm256_set1_epi32(value); }
inline Codes both(Codes a, Codes b) { return _mm256_and_si256(a, b); }
inline Codes either(Codes a, Codes b) { return _mm256_or_si256(a, b); }
template <int bits>
inline Codes right(Codes a) {
  if constexpr (bits == 0) return a;
  return _mm256_srli_epi16(a, bits);
}
template <int bits>
inline Codes left(Codes a) {
  if constexpr (bits == 0) return a;
  return _mm256_slli_epi16(a, bits);
}
inline Codes looked_up(const int8_t* table, Codes nibbles) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))),
                             nibbles);
}
/// Pairs are added in 16 bits first, which unsigned codes up to 63 cannot overflow; larger ones are signed, and their
/// sign goes to x.
template <bool signed_codes>
inline Codes dot(Codes sum, Codes codes, Codes x) {
  Codes pairs = signed_codes ? _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes))
                             : _mm256_maddubs_epi16(codes, x);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

inline Sums load_sums(const float* from) { return _mm256_loadu_ps(from); }
inline void store_sums(float* to, Sums sums) { _mm256_storeu_ps(to, sums); }
inline Sums all_sums(float value) { return _mm256_set1_ps(value); }
inline Sums as_sums(Codes integers) { return _mm256_cvtepi32_ps(integers); }
inline Codes rounded(Sums sums) { return _mm256_cvtps_epi32(sums); }
inline Sums sums_with_bits(Codes bits) { return _mm256_castsi256_ps(bits); }
inline Sums times(Sums a, Sums b) { return _mm256_mul_ps(a, b); }
inline Sums plus_product(Sums sum, Sums a, Sums b) { return _mm256_fmadd_ps(a, b, sum); }
inline Sums minus_product(Sums sum, Sums a, Sums b) { return _mm256_fnmadd_ps(a, b, sum); }
inline Sums halves(const void* from) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(from))); }
inline Codes widened_signed(const void* from) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(from)));
}
inline Codes widened_unsigned(const void* from) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(from)));
}
inline Sums halves_of_powers(Codes exponents) {
  Codes normal = _mm256_slli_epi32(_mm256_sub_epi32(exponents, _mm256_set1_epi32(1)), 23);
  Codes small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), exponents);
  return sums_with_bits(_mm256_blendv_epi8(normal, small, _mm256_cmpgt_epi32(_mm256_set1_epi32(2), exponents)));
}

#endif

constexpr int kCodeBytes = 4 * kLanes;          ///< of a vector
constexpr int kPanelVectors = 32 / kLanes;      ///< that hold 4 elements of each row of a panel
constexpr int kStepBytes = 128;                 ///< of those, unpacked
constexpr bool kHasUnsignedDot = kLanes == 16;  ///< of any bytes

/// The 4 bytes at `from` in each lane.
inline Codes four_bytes(const int8_t* from) {
  int32_t bytes;
  __builtin_memcpy(&bytes, from, 4);
  return all_lanes(bytes);
}

}  // namespace lathe::LATHE_ISA
