// Q5_K of llama.cpp: as Q4_K, and 32 bytes with the fifth bits: bit g of byte i belongs to element i of group g.
#include "lathe/quant/k_scales.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 0);
  parts.low = half_at(block, 2);
  split_k_scales(block + 4, parts);
  for (int i = 0; i < 4; ++i) split_nibbles(block + 48 + 32 * i, 32, parts.codes + 64 * i);
  for (int i = 0; i < 256; ++i) parts.codes[i] |= (byte_at(block, 16 + i % 32) >> i / 32 & 1) << 4;
}

const bool provided =
    provide_block_format({.name = "Q5_K", .elements = 256, .bytes = 176, .lows = true, .split = split});

}  // namespace
}  // namespace lathe
