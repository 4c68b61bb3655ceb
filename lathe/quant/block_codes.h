#pragma once

// The codes of a chunk, 32 elements of 32 rows at a time, in planes of 1, 2, 4 or 8 bits; for *.simd.cpp alone. A plane
// of b bits holds 8 / b steps of 4 elements in each byte: step s at bit b * (s / n), in the s % n-th part of the plane,
// where n is the number of parts.

#include "lathe/quant/block_panels.h"
#include "lathe/quant/block_vectors.h"

namespace lathe::LATHE_ISA {

constexpr int kSteps = 8;  ///< of 4 elements

template <int bits>
struct Plane {
  static constexpr int kParts = kSteps * bits / 8, kBytes = kParts * kStepBytes;

  template <int step>
  static Codes load(const std::byte* plane, int vector) {
    Codes all = load_codes(plane + step % kParts * kStepBytes + vector * kCodeBytes);
    if constexpr (bits == 8) return all;
    return both(right<bits*(step / kParts)>(all), all_bytes((1 << bits) - 1));
  }
  /// steps [8, 128]: codes, of which bits [from, from + bits) go to the plane.
  static void store(const uint8_t* steps, int from, std::byte* plane) {
    for (int i = 0; i < kBytes; ++i) {
      int all = 0;
      for (int part = 0; part < 8 / bits; ++part)
        all |= (steps[part * kBytes + i] >> from & ((1 << bits) - 1)) << part * bits;
      plane[i] = std::byte(all);
    }
  }
};

/// Codes of a few bits around `offset`: the low ones in one plane, the high ones in another.
template <int low, int high, int offset>
struct SplitCodes {
  static constexpr int kBytes = Plane<low>::kBytes + (high ? Plane < high ? high : 1 > ::kBytes : 0), kOffset = offset;
  static constexpr bool kSigned = false;

  template <int step>
  static Codes load(const std::byte* planes, int vector) {
    Codes codes = Plane<low>::template load<step>(planes, vector);
    if constexpr (high == 0) {
      return codes;
    } else {
      return either(codes, left<low>(Plane<high>::template load<step>(planes + Plane<low>::kBytes, vector)));
    }
  }
  static void store(const uint8_t* steps, std::byte* planes) {
    Plane<low>::store(steps, 0, planes);
    if constexpr (high != 0) Plane<high>::store(steps, low, planes + Plane<low>::kBytes);
  }
};

/// Bytes around 128; signed where products of any unsigned bytes would overflow.
struct ByteCodes {
  static constexpr int kBytes = kSteps * kStepBytes, kOffset = kHasUnsignedDot ? 128 : 0;
  static constexpr bool kSigned = !kHasUnsignedDot;

  template <int step>
  static Codes load(const std::byte* planes, int vector) {
    return load_codes(planes + step * kStepBytes + vector * kCodeBytes);
  }
  static void store(const uint8_t* steps, std::byte* planes) {
    for (int i = 0; i < kBytes; ++i) planes[i] = std::byte(kSigned ? steps[i] ^ 128 : steps[i]);
  }
};

/// Nibbles that stand for the signed bytes of `table`.
template <const int8_t (&table)[16]>
struct TableCodes {
  static constexpr int kBytes = Plane<4>::kBytes, kOffset = kHasUnsignedDot ? 128 : 0;
  static constexpr bool kSigned = !kHasUnsignedDot;

  struct Shifted {
    int8_t values[16];
  };
  static constexpr Shifted shifted() {
    Shifted all{};
    for (int i = 0; i < 16; ++i) all.values[i] = int8_t(table[i] + kOffset);
    return all;
  }
  static constexpr Shifted kValues = shifted();

  template <int step>
  static Codes load(const std::byte* planes, int vector) {
    return looked_up(kValues.values, Plane<4>::load<step>(planes, vector));
  }
  static void store(const uint8_t* steps, std::byte* planes) { Plane<4>::store(steps, 0, planes); }
};

}  // namespace lathe::LATHE_ISA
