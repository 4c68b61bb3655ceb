#pragma once

#include "lathe/quant/block_bytes.h"

namespace lathe {

/// The 8 scales and 8 lows of 6 bits in the 12 bytes at `bytes`, as Q4_K and Q5_K have them: those of the first four
/// groups in the low bits of bytes 0-3 and 4-7, whose high bits hold the high bits of the last four.
inline void split_k_scales(const std::byte* bytes, BlockParts& parts) {
  for (int g = 0; g < 4; ++g) {
    uint8_t a = byte_at(bytes, g), b = byte_at(bytes, 4 + g), c = byte_at(bytes, 8 + g);
    parts.scales[g] = a & 63;
    parts.lows[g] = b & 63;
    parts.scales[4 + g] = int16_t((c & 15) | (a >> 6) << 4);
    parts.lows[4 + g] = int16_t((c >> 4) | (b >> 6) << 4);
  }
}

}  // namespace lathe
