#pragma once

#include "lathe/quant/block_product.h"

namespace lathe {

/// How a GPU has a BlockMatrix: tiles of 16 rows, the last filled up with zeros; a tile is a record for each 32
/// elements of depth, so that any stretch of depth of a tile is one run of bytes. A record has codes for each lane of
/// the warp that multiplies it: of 8 bits, lane 4 r + q has elements 4 q to 4 q + 3 of row r, then of row r + 8, then
/// both rows' elements 16 + 4 q to 16 + 4 q + 3; of 4 bits, the latter are the high nibbles of the former's bytes. Then
/// f16 scales [8, groups, 2], of rows r and r + 8 side by side, then lows of the same shape where there are any. A code
/// of 8 bits is the signed value itself. One of 4 bits stands for table[code] as in its format, for itself where there
/// are lows, else for code - 8.
struct BlockRecords {
  int code_bits;  ///< 4 or 8
  int groups;     ///< of 32 elements: 1 or 2
  bool lows;

  static constexpr int kRows = 16, kDepth = 32;
  explicit BlockRecords(const BlockFormat& format)
      : code_bits(8 * format.bytes <= 5 * format.elements ? 4 : 8), groups(int(32 / format.group)), lows(format.lows) {}
  int code_bytes() const { return kRows * kDepth * code_bits / 8; }
  int scale_bytes() const { return kRows * groups * 2; }
  int bytes() const { return code_bytes() + scale_bytes() * (lows ? 2 : 1); }
  int64_t bytes_of(const Shape& shape) const { return (shape[0] + kRows - 1) / kRows * (shape[1] / kDepth) * bytes(); }
};

/// Whether a GPU multiplies this format as it is: all that have codes.
inline bool has_records(const BlockFormat& format) { return format.numbers == nullptr; }

/// to [records.bytes_of({count, in})] = the rows [count, bytes of a row] at `from`. Throws Error where a scale is
/// beyond f16.
void pack_records(const BlockFormat& format, const std::byte* from, int64_t count, int64_t in, std::byte* to);

}  // namespace lathe
