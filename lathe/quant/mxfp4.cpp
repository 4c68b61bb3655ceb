// MXFP4 (Open Compute Project's microscaling formats, 2023) as llama.cpp stores it: a power of two, then 32 codes of
// 4-bit floats, whose values are doubled here and the scale halved.
#include <bit>

#include "lathe/quant/block_bytes.h"
#include "lathe/quant/mxfp4_values.h"

namespace lathe {
namespace {

/// 2^(exponent - 128), which is subnormal for the two smallest exponents.
float half_of_power(uint8_t exponent) {
  return std::bit_cast<float>(exponent < 2 ? 0x00200000u << exponent : uint32_t(exponent - 1) << 23);
}

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_of_power(byte_at(block, 0));
  one_group(parts);
  split_nibbles(block + 1, 16, parts.codes);
}

const bool provided = provide_block_format({.name = "MXFP4", .bytes = 17, .table = kMxfp4Values, .split = split});

}  // namespace
}  // namespace lathe
