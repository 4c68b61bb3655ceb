// Q6_K of llama.cpp: f16 scale of 256, a signed byte of it for each 16, codes of 6 bits around 32. In each half, byte i
// of the low bits holds elements i and 64 + i, and byte i of the high bits i, 32 + i, 64 + i and 96 + i.
#include "lathe/quant/block_bytes.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 208);
  for (int g = 0; g < 16; ++g) {
    parts.scales[g] = int8_t(byte_at(block, 192 + g));
    parts.lows[g] = 0;
  }
  for (int half = 0; half < 2; ++half) {
    split_nibbles(block + 64 * half, 64, parts.codes + 128 * half);
    for (int i = 0; i < 128; ++i)
      parts.codes[128 * half + i] |= (byte_at(block, 128 + 32 * half + i % 32) >> i / 32 * 2 & 3) << 4;
  }
}

const bool provided =
    provide_block_format({.name = "Q6_K", .elements = 256, .bytes = 210, .group = 16, .offset = 32, .split = split});

}  // namespace
}  // namespace lathe
