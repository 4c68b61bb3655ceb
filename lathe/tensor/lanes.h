#pragma once

// Numbers as vector loops take them, one a lane; for *.simd.cpp alone. Nothing here calls a function of another
// namespace: the linker may keep any copy of an inline function, and only some may be compiled for this instruction
// set.

#include <immintrin.h>

#include <cstdint>

#include "lathe/base/isa.h"
#include "lathe/tensor/dtype.h"

namespace lathe::LATHE_ISA {

constexpr Isa kThisIsa = Isa::LATHE_ISA;

inline uint32_t bits_of(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits;
}
inline float float_of(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

/// A stored number as f32, and back, rounded to nearest even.
inline float wide(float value) { return value; }
inline float wide(const BF16& value) { return float_of(uint32_t(value.bits) << 16); }
inline float wide(const F16& value) { return _cvtsh_ss(value.bits); }
inline void narrow(float value, float& to) { to = value; }
inline void narrow(float value, BF16& to) {
  uint32_t bits = bits_of(value), rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to.bits = uint16_t(value == value ? rounded : (bits >> 16) | 64u);
}
inline void narrow(float value, F16& to) {
  to.bits = uint16_t(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT)));
}

/// Within 2 units in the last place; 0 below -87.3, where it would be subnormal. (Cody & Waite's reduction, a
/// polynomial of degree 6.)
inline float exp_of(float x) {
  float clamped = x < -87.3f ? -87.3f : x > 88.7f ? 88.7f : x;
  float shifted = clamped * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: its low bits are the rounded number
  float n = shifted - 12582912.0f;
  float r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  float value = p * r * r + r + 1.0f;
  value = float_of(bits_of(value) + ((bits_of(shifted) - 0x4b400000u) << 23));
  return x < -87.3f ? 0.0f : x == x ? value : x;
}

/// For normal x > 0, within 2 units in the last place, or 1e-7 near 1. (Cephes' logf: sqrt(1/2) <= m < sqrt(2).)
inline float log_of(float x) {
  uint32_t shifted = bits_of(x) - 0x3f3504f3u;
  float exponent = float(int32_t(shifted) >> 23), m = float_of((shifted & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  float square = m * m;
  return p * m * square - 2.12194440e-4f * exponent - 0.5f * square + m + 0.693359375f * exponent;
}

/// Sine of `turns` of a full turn, |turns| <= 1/4. Within 1e-7, absolute (Taylor's series to the 11th power).
inline float sin_of_quarter(float turns) {
  float x = 6.28318531f * turns, z = x * x;
  float p = -2.50521084e-8f;
  p = p * z + 2.75573192e-6f;
  p = p * z - 1.98412698e-4f;
  p = p * z + 8.33333333e-3f;
  p = p * z - 1.66666667e-1f;
  return p * z * x + x;
}
/// For |turns| <= 1/2, as sin_of_quarter().
inline float cos_of_turns(float turns) { return sin_of_quarter(0.25f - (turns < 0 ? -turns : turns)); }
inline float sin_of_turns(float turns) {
  float size = turns < 0 ? -turns : turns, value = sin_of_quarter(size > 0.25f ? 0.5f - size : size);
  return turns < 0 ? -value : value;
}

/// Within 2e-7, absolute.
inline float tanh_of(float x) { return 1 - 2 / (exp_of(2 * x) + 1); }

/// For 2^-126 < x < 2^126, within 2 units in the last place: three of Newton's steps take a quarter of a division.
inline float reciprocal_of(float x) {
  float y = float_of(0x7ef311c7u - bits_of(x));  // within 5 %: the exponent of 1/x is minus that of x
  y = y * (2 - x * y);
  y = y * (2 - x * y);
  return y * (2 - x * y);
}

/// Within 7e-7, absolute (Abramowitz & Stegun 7.1.26).
inline float erf_of(float x) {
  float z = x < 0 ? -x : x;
  z = z < 10 ? z : 10;  // erf(10) is 1
  float t = reciprocal_of(1 + 0.3275911f * z);
  float p = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  float y = 1 - p * exp_of(-z * z);
  return x < 0 ? -y : y;
}

}  // namespace lathe::LATHE_ISA
