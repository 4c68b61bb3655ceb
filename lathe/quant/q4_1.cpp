// Q4_1 of llama.cpp: f16 scale, f16 smallest element, 32 codes of 4 bits.
#include "lathe/quant/block_bytes.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 0);
  parts.low = -half_at(block, 2);
  one_group(parts);
  split_nibbles(block + 4, 16, parts.codes);
}

void quantize(const float* elements, std::byte* block) {
  auto [least, most] = std::minmax_element(elements, elements + 32);
  float low = *least, scale = (*most - low) / 15, inverse = scale != 0 ? 1 / scale : 0;
  put_half(scale, block, 0);
  put_half(low, block, 2);
  put_nibbles(
      elements, [&](float x) { return cut_to_code((x - low) * inverse + 0.5f, 15); }, block + 4);
}

const bool provided =
    provide_block_format({.name = "Q4_1", .bytes = 20, .lows = true, .split = split, .quantize = quantize});

}  // namespace
}  // namespace lathe
