// Q2_K of llama.cpp: 4 bits of scale and of low for each 16, codes of 2 bits, f16 scale and scale of lows of 256. In
// each half, byte i of the codes holds elements i, 32 + i, 64 + i and 96 + i.
#include "lathe/quant/block_bytes.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 80);
  parts.low = half_at(block, 82);
  for (int g = 0; g < 16; ++g) {
    parts.scales[g] = byte_at(block, g) & 15;
    parts.lows[g] = byte_at(block, g) >> 4;
  }
  for (int i = 0; i < 256; ++i) parts.codes[i] = byte_at(block, 16 + 32 * (i / 128) + i % 32) >> i % 128 / 32 * 2 & 3;
}

const bool provided =
    provide_block_format({.name = "Q2_K", .elements = 256, .bytes = 84, .group = 16, .lows = true, .split = split});

}  // namespace
}  // namespace lathe
