#pragma once

#include <cstdint>

namespace lathe {

/// The counter of a Philox block, and the block: 128 bits. Only the low halves count: products have 64 bits, and vector
/// loops that leave them where they are need half the instructions.
struct PhiloxWords {
  uint64_t x, y, z, w;
};

/// Philox 4x32-10 (Salmon et al. 2011): `counter` encrypted with `key`. Always inlined, so that *.simd.cpp may call it:
/// there is no copy of it that was compiled for another processor.
[[gnu::always_inline]] constexpr PhiloxWords philox(PhiloxWords counter, uint64_t key) {
  constexpr uint64_t kLow = 0xffffffffu;
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = 0xd2511f53u * (counter.x & kLow), p1 = 0xcd9e8d57u * (counter.z & kLow);
    counter = {(p1 >> 32) ^ counter.y ^ k0, p1, (p0 >> 32) ^ counter.w ^ k1, p0};
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return counter;
}

}  // namespace lathe
