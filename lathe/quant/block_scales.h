#pragma once

// The scales of a chunk, each of 32 rows side by side; for *.simd.cpp alone.

#include "lathe/quant/block_panels.h"
#include "lathe/quant/block_vectors.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {

inline void store_half(float value, std::byte* to) {
  F16 half;
  narrow(value, half);
  __builtin_memcpy(to, &half, 2);
}

/// f16 scales of 32 elements, and f16 lows.
template <bool lows>
struct HalfScales {
  static constexpr int kElements = 32, kGroup = 32, kBytes = lows ? 128 : 64;
  static constexpr bool kLows = lows;

  static Sums scale(const std::byte* scales, int, int vector) { return halves(scales + vector * kLanes * 2); }
  static Sums low(const std::byte* scales, int, int vector) { return halves(scales + 64 + vector * kLanes * 2); }
  static void store(const BlockParts* rows, std::byte* scales) {
    for (int r = 0; r < 32; ++r) {
      store_half(rows[r].scale, scales + 2 * r);
      if (lows) store_half(rows[r].low, scales + 64 + 2 * r);
    }
  }
};

/// f16 scales of 256 elements, and f16 scales of lows, of which each `group` has a multiple, a signed byte.
template <int group, bool lows>
struct SuperScales {
  static constexpr int kElements = 256, kGroup = group, kGroups = 256 / group;
  static constexpr int kFactors = lows ? 128 : 64, kBytes = kFactors + kGroups * 32 * (lows ? 2 : 1);
  static constexpr bool kLows = lows;

  static Sums scale(const std::byte* scales, int g, int vector) {
    return times(halves(scales + vector * kLanes * 2),
                 as_sums(widened_signed(scales + kFactors + g * 32 + vector * kLanes)));
  }
  static Sums low(const std::byte* scales, int g, int vector) {
    return times(halves(scales + 64 + vector * kLanes * 2),
                 as_sums(widened_signed(scales + kFactors + (kGroups + g) * 32 + vector * kLanes)));
  }
  static void store(const BlockParts* rows, std::byte* scales) {
    for (int r = 0; r < 32; ++r) {
      store_half(rows[r].scale, scales + 2 * r);
      if (lows) store_half(rows[r].low, scales + 64 + 2 * r);
      for (int g = 0; g < kGroups; ++g) {
        scales[kFactors + g * 32 + r] = std::byte(rows[r].scales[g]);
        if (lows) scales[kFactors + (kGroups + g) * 32 + r] = std::byte(rows[r].lows[g]);
      }
    }
  }
};

/// Powers of two of 32 elements, halved: a byte each.
struct PowerScales {
  static constexpr int kElements = 32, kGroup = 32, kBytes = 32;
  static constexpr bool kLows = false;

  static Sums scale(const std::byte* scales, int, int vector) {
    return halves_of_powers(widened_unsigned(scales + vector * kLanes));
  }
  static void store(const BlockParts* rows, std::byte* scales) {
    for (int r = 0; r < 32; ++r) {
      uint32_t bits = bits_of(rows[r].scale), exponent = (bits >> 23) + 1;
      scales[r] = std::byte(exponent > 1 ? exponent : bits == 0x00400000u ? 1 : 0);
    }
  }
};

/// f32 scales of 256 elements.
struct FloatScales {
  static constexpr int kElements = 256, kGroup = 32, kBytes = 128;
  static constexpr bool kLows = false;

  static Sums scale(const std::byte* scales, int, int vector) {
    return load_sums(reinterpret_cast<const float*>(scales) + vector * kLanes);
  }
  static void store(const BlockParts* rows, std::byte* scales) {
    for (int r = 0; r < 32; ++r) __builtin_memcpy(scales + 4 * r, &rows[r].scale, 4);
  }
};

}  // namespace lathe::LATHE_ISA
