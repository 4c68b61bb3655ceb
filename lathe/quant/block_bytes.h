#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lathe/quant/block_format.h"
#include "lathe/tensor/dtype.h"

namespace lathe {

/// What the layouts of several block formats share; `at` counts bytes of the block.

inline uint8_t byte_at(const std::byte* block, int64_t at) { return uint8_t(block[at]); }

inline float half_at(const std::byte* block, int64_t at) {
  F16 half;
  std::memcpy(&half, block + at, 2);
  return float(half);
}

inline void put_half(float value, std::byte* block, int64_t at) {
  F16 half(value);
  std::memcpy(block + at, &half, 2);
}

/// A block that is one group.
inline void one_group(BlockParts& parts) { parts.scales[0] = parts.lows[0] = 1; }

/// codes[0 .. count) = the low nibbles of `count` bytes, codes[count .. 2 count) the high ones.
inline void split_nibbles(const std::byte* bytes, int64_t count, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i) {
    codes[i] = byte_at(bytes, i) & 15;
    codes[count + i] = byte_at(bytes, i) >> 4;
  }
}

/// The element that is largest by magnitude, the first of such.
inline float extreme_of(const float* elements, int64_t count) {
  float extreme = 0;
  for (int64_t i = 0; i < count; ++i)
    if (std::abs(elements[i]) > std::abs(extreme)) extreme = elements[i];
  return extreme;
}

/// value cut off to an integer of 0 .. most; what is no number, to 0.
inline uint8_t cut_to_code(float value, int most) { return value > 0 ? uint8_t(std::min(value, float(most))) : 0; }

/// The inverse of split_nibbles for 32 elements, coded as cut_to_code(element * factor + shift, 15).
template <class Code>
void put_nibbles(const float* elements, Code code, std::byte* bytes) {
  for (int i = 0; i < 16; ++i) bytes[i] = std::byte(code(elements[i]) | code(elements[16 + i]) << 4);
}

}  // namespace lathe
