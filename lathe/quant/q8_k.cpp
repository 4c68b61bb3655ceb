// Q8_K of llama.cpp: f32 scale, 256 signed bytes, then sums of each 16 that only its products read.
#include "lathe/quant/block_bytes.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  std::memcpy(&parts.scale, block, 4);
  std::fill_n(parts.scales, 8, int16_t{1});
  std::fill_n(parts.lows, 8, int16_t{1});
  for (int i = 0; i < 256; ++i) parts.codes[i] = byte_at(block, 4 + i) ^ 128;
}

const bool provided =
    provide_block_format({.name = "Q8_K", .elements = 256, .bytes = 292, .offset = 128, .split = split});

}  // namespace
}  // namespace lathe
