// Q4_0 of llama.cpp: f16 scale, 32 codes of 4 bits around 8.
#include "lathe/quant/block_bytes.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 0);
  one_group(parts);
  split_nibbles(block + 2, 16, parts.codes);
}

void quantize(const float* elements, std::byte* block) {
  float scale = extreme_of(elements, 32) / -8, inverse = scale != 0 ? 1 / scale : 0;
  put_half(scale, block, 0);
  put_nibbles(
      elements, [&](float x) { return cut_to_code(x * inverse + 8.5f, 15); }, block + 2);
}

const bool provided =
    provide_block_format({.name = "Q4_0", .bytes = 18, .offset = 8, .split = split, .quantize = quantize});

}  // namespace
}  // namespace lathe
