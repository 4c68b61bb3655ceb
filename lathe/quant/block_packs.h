#pragma once

// Blocks of files straight into chunks of panels, a word of 4 codes at a time, where their codes lie alike in both; for
// *.simd.cpp alone. Taking blocks apart (BlockFormat::split) first costs ten times as much.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "lathe/quant/block_format.h"

namespace lathe::LATHE_ISA {

/// A block of each of `rows` rows.
struct Blocks {
  const std::byte* first;
  int64_t stride, rows;
};

/// to[r] = of(block of row r) for each row of a panel, 0 for those that are not there.
template <class Word, class Of>
inline void put_words(const Blocks& blocks, std::byte* to, Of of) {
  const std::byte* block = blocks.first;
  for (int64_t r = 0; r < 32; ++r, block += blocks.stride, to += sizeof(Word)) {
    Word word = r < blocks.rows ? of(block) : Word(0);
    __builtin_memcpy(to, &word, sizeof(Word));
  }
}

template <class Word>
inline Word word_at(const std::byte* block, int at) {
  Word word;
  __builtin_memcpy(&word, block + at, sizeof(Word));
  return word;
}

/// f16 scales at the beginning, lows behind them, whose sign files have the other way round.
template <bool lows>
struct HalfScalesOfBlocks {
  static void pack(const Blocks& blocks, std::byte* scales) {
    put_words<uint16_t>(blocks, scales, [](const std::byte* block) { return word_at<uint16_t>(block, 0); });
    if constexpr (lows)
      put_words<uint16_t>(blocks, scales + 64,
                          [](const std::byte* block) { return uint16_t(word_at<uint16_t>(block, 2) ^ 0x8000); });
  }
};

/// 16 bytes of nibbles, byte i of elements i and 16 + i: a plane of 4 bits has the same.
template <int at>
struct NibblesOfBlocks {
  static void pack(const Blocks& blocks, std::byte* planes) {
    for (int i = 0; i < 16; i += 4)
      put_words<uint32_t>(blocks, planes + 32 * i,
                          [i](const std::byte* block) { return word_at<uint32_t>(block, at + i); });
  }
};

/// 4 bytes whose bit i belongs to element i, then nibbles.
template <int at>
struct FiveBitsOfBlocks {
  static void pack(const Blocks& blocks, std::byte* planes) {
    NibblesOfBlocks<at + 4>::pack(blocks, planes);
    put_words<uint32_t>(blocks, planes + 512, [](const std::byte* block) {
      auto bits = word_at<uint32_t>(block, at);
      uint32_t of_steps = 0;  // byte j: bit s belongs to element 4 s + j
      for (int j = 0; j < 4; ++j) of_steps |= _pext_u32(bits, 0x11111111u << j) << 8 * j;
      return of_steps;
    });
  }
};

/// 32 signed bytes, which become unsigned ones where `flip` is 0x80.
template <int at, uint32_t flip>
struct BytesOfBlocks {
  static void pack(const Blocks& blocks, std::byte* planes) {
    for (int i = 0; i < 32; i += 4)
      put_words<uint32_t>(blocks, planes + 32 * i, [i](const std::byte* block) {
        return word_at<uint32_t>(block, at + i) ^ flip * 0x01010101u;
      });
  }
};

/// BlockPanels::pack of blocks of 32 elements that are scales S and codes C.
template <class S, class C, int scale_bytes>
void pack_words(const BlockFormat&, const std::byte* first, int64_t stride, int64_t rows, std::byte* chunk) {
  S::pack({first, stride, rows}, chunk);
  C::pack({first, stride, rows}, chunk + scale_bytes);
}

/// 32 elements of blocks into planes of 4 bits and, where `high` is not 0, so many more. low_of(block, i) and
/// high_of(block, i): those bits of elements i to i + 3, a byte each.
template <int high, class Low, class High>
inline void put_planes(const Blocks& blocks, std::byte* planes, Low low_of, High high_of) {
  for (int i = 0; i < 16; i += 4)
    put_words<uint32_t>(blocks, planes + 32 * i,
                        [=](const std::byte* block) { return low_of(block, i) | low_of(block, 16 + i) << 4; });
  if constexpr (high > 0)
    for (int i = 0; i < 4 * high; i += 4)  // parts of the plane, whose bytes hold 8 / high steps of 4 elements
      put_words<uint32_t>(blocks, planes + 512 + 32 * i, [=](const std::byte* block) {
        uint32_t all = 0;
        for (int step = 0; step < 8 / high; ++step) all |= high_of(block, 4 * high * step + i) << high * step;
        return all;
      });
}

/// Nibbles of 64 elements in 32 bytes each, the first 32 elements' low ones: those of the sub-th 32.
template <int at>
struct NibblesOfSuperBlocks {
  int sub;
  uint32_t operator()(const std::byte* block, int i) const {
    return word_at<uint32_t>(block, at + sub / 2 * 32 + i) >> sub % 2 * 4 & 0x0f0f0f0fu;
  }
};

/// SuperScales<32, true> of blocks that begin with both f16 scales and 12 bytes of 6-bit factors.
inline void pack_k_scales(const Blocks& blocks, std::byte* scales) {
  for (int at : {0, 2})
    put_words<uint16_t>(blocks, scales + 32 * at,
                        [at](const std::byte* block) { return word_at<uint16_t>(block, at); });
  for (int64_t r = 0; r < 32; ++r) {
    uint32_t words[3] = {};
    if (r < blocks.rows) __builtin_memcpy(words, blocks.first + r * blocks.stride + 4, 12);
    const uint32_t factors[4] = {words[0] & 0x3f3f3f3fu, (words[2] & 0x0f0f0f0fu) | (words[0] >> 2 & 0x30303030u),
                                 words[1] & 0x3f3f3f3fu, (words[2] >> 4 & 0x0f0f0f0fu) | (words[1] >> 2 & 0x30303030u)};
    for (int g = 0; g < 16; ++g) scales[128 + 32 * g + r] = std::byte(factors[g / 4] >> g % 4 * 8);
  }
}

}  // namespace lathe::LATHE_ISA
