// Q4_K of llama.cpp: f16 scale and scale of lows of 256, 6 bits of both for each 32, codes of 4 bits.
#include "lathe/quant/k_scales.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 0);
  parts.low = half_at(block, 2);
  split_k_scales(block + 4, parts);
  for (int i = 0; i < 4; ++i) split_nibbles(block + 16 + 32 * i, 32, parts.codes + 64 * i);
}

const bool provided =
    provide_block_format({.name = "Q4_K", .elements = 256, .bytes = 144, .lows = true, .split = split});

}  // namespace
}  // namespace lathe
