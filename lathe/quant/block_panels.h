#pragma once

#include "lathe/base/isa.h"
#include "lathe/quant/block_format.h"

namespace lathe {

/// A packed BlockMatrix is panels of 32 rows, the last filled up with zeros; a panel is a chunk for each block of its
/// rows, which holds what 32 lanes need at once: their scales, then the codes of 4 consecutive elements of each row
/// side by side. Chunks follow one another, so that a product reads all of it once from end to end.
constexpr int64_t kPanelRows = 32;

/// Elements that the codes of a panel are unpacked for at a time: what stays in L1.
constexpr int64_t kUnpacked = 512;

/// Part of a panel as the tiles of large products read it: [elements / 4, 32, 4] codes
/// (wide ones [elements / 2, 32, 2]), [groups, 32] scales and lows.
struct UnpackedPanel {
  uint8_t* codes = nullptr;
  float *scales = nullptr, *lows = nullptr;

  static constexpr int64_t kCodeBytes = 2 * kUnpacked * kPanelRows;  ///< wide codes have two
  static constexpr int64_t bytes() { return kCodeBytes + 2 * (kUnpacked / 16) * kPanelRows * 4; }
};

/// Rows of x as signed bytes, from the element on that a product begins with.
struct RoundedPart {
  const int8_t* codes;
  const float* scales;
  const int32_t* sums;
  const int16_t* wide;
  const float* wide_scales;
  int64_t in;  ///< elements from one row to the next
};

using PackChunk = void (*)(const BlockFormat& format, const std::byte* blocks, int64_t stride, int64_t rows,
                           std::byte* chunk);

/// How vectors of one instruction set multiply a format; all functions belong to *.simd.cpp.
struct BlockPanels {
  int64_t chunk_bytes = 0;
  int offset = 0;             ///< an unpacked code stands for code - offset,
  bool signed_codes = false;  ///< where it is a signed byte, or not
  bool lows = false;
  bool wide_codes = false;  ///< of 16 bits, signed; x's too
  /// A chunk of `rows` rows' blocks, `stride` bytes apart; others are zeros.
  PackChunk pack = nullptr;
  /// `chunks` of them, together no more than kUnpacked elements.
  void (*unpack)(const std::byte* chunk, int64_t chunks, const UnpackedPanel& to) = nullptr;
  /// sums [rows, 32] = x times all `chunks` of a panel; the index is rows - 1.
  static constexpr int kFewRows = 4;
  void (*few[kFewRows])(const std::byte* panel, int64_t chunks, const RoundedPart& x, float* sums) = {};
  /// sums [rows, 32] += x times `elements` of an unpacked panel.
  void (*many)(const UnpackedPanel& panel, int64_t elements, const RoundedPart& x, int64_t rows, float* sums) = nullptr;
};

/// Registers the panels of the format of this name, at namespace scope.
bool provide_block_panels(Isa isa, std::string_view format, const BlockPanels& panels);
/// Null: products of this instruction set read the format as files have it.
const BlockPanels* find_block_panels(Isa isa, const BlockFormat& format);

}  // namespace lathe
