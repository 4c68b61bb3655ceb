// F16 as blocks of 32, so that products need not widen it: see f16.simd.cpp.
#include "lathe/quant/block_bytes.h"

namespace lathe {
namespace {

void numbers(const std::byte* block, float* to) {
  for (int i = 0; i < 32; ++i) to[i] = half_at(block, 2 * i);
}

const bool provided = provide_block_format({.name = "F16", .bytes = 64, .numbers = numbers});

}  // namespace
}  // namespace lathe
