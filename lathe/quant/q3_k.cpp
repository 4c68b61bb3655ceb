// Q3_K of llama.cpp: third bits (bit b of byte i belongs to element 32 b + i), two low bits as Q2_K has them, 6 bits of
// scale around 32 for each 16, f16 scale of 256; codes around 4.
#include "lathe/quant/block_bytes.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 108);
  const std::byte* scales = block + 96;
  for (int g = 0; g < 16; ++g) {
    int low = byte_at(scales, g % 8) >> g / 8 * 4 & 15, high = byte_at(scales, 8 + g % 4) >> g / 4 * 2 & 3;
    parts.scales[g] = int16_t((low | high << 4) - 32);
    parts.lows[g] = 0;
  }
  for (int i = 0; i < 256; ++i) {
    int low = byte_at(block, 32 + 32 * (i / 128) + i % 32) >> i % 128 / 32 * 2 & 3;
    parts.codes[i] = uint8_t(low | (byte_at(block, i % 32) >> i / 32 & 1) << 2);
  }
}

const bool provided =
    provide_block_format({.name = "Q3_K", .elements = 256, .bytes = 110, .group = 16, .offset = 4, .split = split});

}  // namespace
}  // namespace lathe
