// Q8_0 of llama.cpp: f16 scale, 32 signed bytes.
#include "lathe/quant/block_bytes.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 0);
  one_group(parts);
  for (int i = 0; i < 32; ++i) parts.codes[i] = byte_at(block, 2 + i) ^ 128;
}

void quantize(const float* elements, std::byte* block) {
  float scale = std::abs(extreme_of(elements, 32)) / 127, inverse = scale != 0 ? 1 / scale : 0;
  put_half(scale, block, 0);
  for (int i = 0; i < 32; ++i) {
    float code = std::round(elements[i] * inverse);
    block[2 + i] = std::byte(code >= -127 && code <= 127 ? int8_t(code) : int8_t(0));
  }
}

const bool provided =
    provide_block_format({.name = "Q8_0", .bytes = 34, .offset = 128, .split = split, .quantize = quantize});

}  // namespace
}  // namespace lathe
