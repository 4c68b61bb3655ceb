// Q5_0 of llama.cpp: f16 scale, 32 codes of 5 bits around 16, their highest bits apart.
#include "lathe/quant/block_bytes.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 0);
  one_group(parts);
  split_nibbles(block + 6, 16, parts.codes);
  for (int i = 0; i < 32; ++i) parts.codes[i] |= (byte_at(block, 2 + i / 8) >> i % 8 & 1) << 4;
}

const bool provided = provide_block_format({.name = "Q5_0", .bytes = 22, .offset = 16, .split = split});

}  // namespace
}  // namespace lathe
