#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

/// One block, taken apart. Element i is scale * scales[g] * value(codes[i]) - low * lows[g], where g is its group and
/// value() the format's; llama.cpp rounds after the same steps.
struct BlockParts {
  uint8_t codes[256];
  float scale = 0, low = 0;
  int16_t scales[16], lows[16];  ///< 1 and 1 where the block is one group
};

/// A way to store rows of numbers as blocks of small codes with scales, as GGUF files do. A format is a file of its own
/// in lathe/quant/, which provides it, beside one with the vectors it is multiplied in (block_panels.h).
struct BlockFormat {
  std::string_view name;               ///< llama.cpp's: "Q4_0"
  int64_t elements = 32;               ///< of a block, at most 256
  int64_t bytes = 0;                   ///< of a block
  int64_t group = 32;                  ///< elements that have one scale
  bool lows = false;                   ///< there are some; else they are 0
  int offset = 0;                      ///< a code stands for code - offset,
  std::span<const int8_t> table = {};  ///< or for table[code], where there is one
  void (*split)(const std::byte* block, BlockParts& parts) = nullptr;
  void (*numbers)(const std::byte* block, float* to) = nullptr;         ///< instead, where there are no codes
  void (*quantize)(const float* elements, std::byte* block) = nullptr;  ///< null: it can only be read

  int value(uint8_t code) const { return table.empty() ? code - offset : table[code]; }
};

/// Registers a format, at namespace scope.
bool provide_block_format(const BlockFormat& format);
/// Null: there is none of this name.
const BlockFormat* find_block_format(std::string_view name);
std::vector<std::string> block_format_names();

/// Bytes of `elements` in a row. Throws Error when they are not whole blocks.
int64_t bytes_of_row(const BlockFormat& format, int64_t elements);

/// The plain reading: to[0 .. elements) = the blocks' numbers, with llama.cpp's bits.
void dequantize_blocks(const BlockFormat& format, const std::byte* blocks, int64_t elements, float* to);
/// Rounds as llama.cpp does, to the byte; a number that is not finite makes its block meaningless, no more. Throws
/// Error for a format that can only be read.
void quantize_blocks(const BlockFormat& format, const float* from, int64_t elements, std::byte* blocks);

}  // namespace lathe
