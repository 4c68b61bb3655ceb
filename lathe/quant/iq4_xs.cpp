// IQ4_XS of llama.cpp: f16 scale of 256, 6 bits of it around 32 for each 32 (two high bits in two bytes, four low ones
// in four), codes into IQ4_NL's table.
#include "lathe/quant/block_bytes.h"
#include "lathe/quant/iq4_values.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 0);
  for (int g = 0; g < 8; ++g) {
    int high = byte_at(block, 2 + g / 4) >> g % 4 * 2 & 3, low = byte_at(block, 4 + g / 2) >> g % 2 * 4 & 15;
    parts.scales[g] = int16_t((low | high << 4) - 32);
    parts.lows[g] = 0;
    split_nibbles(block + 8 + 16 * g, 16, parts.codes + 32 * g);
  }
}

const bool provided =
    provide_block_format({.name = "IQ4_XS", .elements = 256, .bytes = 136, .table = kIq4Values, .split = split});

}  // namespace
}  // namespace lathe
