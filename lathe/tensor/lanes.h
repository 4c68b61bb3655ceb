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

/// Within 4e-7, absolute (a Chebyshev fit of erf(x) / x over x², of degree 13 up to 3.7, where erf is 1 - 1.7e-7).
inline float erf_of(float x) {
  float t = 0.146092038f * x * x - 1;
  float p = -0.0014599103f;
  p = p * t + 0.00391288847f;
  p = p * t - 0.00378863048f;
  p = p * t + 0.0052659628f;
  p = p * t - 0.0139814895f;
  p = p * t + 0.0250994936f;
  p = p * t - 0.0362978131f;
  p = p * t + 0.0514985472f;
  p = p * t - 0.0704097375f;
  p = p * t + 0.0906197503f;
  p = p * t - 0.112648703f;
  p = p * t + 0.140789941f;
  p = p * t - 0.190467626f;
  p = p * t + 0.382137507f;
  float y = p * x;
  return x > 3.7f ? 1.0f : x < -3.7f ? -1.0f : y;
}

}  // namespace lathe::LATHE_ISA
