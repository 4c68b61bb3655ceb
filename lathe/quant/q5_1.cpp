// Q5_1 of llama.cpp: f16 scale, f16 smallest element, 32 codes of 5 bits, their highest bits apart.
#include "lathe/quant/block_bytes.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 0);
  parts.low = -half_at(block, 2);
  one_group(parts);
  split_nibbles(block + 8, 16, parts.codes);
  for (int i = 0; i < 32; ++i) parts.codes[i] |= (byte_at(block, 4 + i / 8) >> i % 8 & 1) << 4;
}

const bool provided = provide_block_format({.name = "Q5_1", .bytes = 24, .lows = true, .split = split});

}  // namespace
}  // namespace lathe
