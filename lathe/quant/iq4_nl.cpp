// IQ4_NL of llama.cpp: as Q4_0, with a table of values that are not evenly spaced.
#include "lathe/quant/block_bytes.h"
#include "lathe/quant/iq4_values.h"

namespace lathe {
namespace {

void split(const std::byte* block, BlockParts& parts) {
  parts.scale = half_at(block, 0);
  one_group(parts);
  split_nibbles(block + 2, 16, parts.codes);
}

const bool provided = provide_block_format({.name = "IQ4_NL", .bytes = 18, .table = kIq4Values, .split = split});

}  // namespace
}  // namespace lathe
