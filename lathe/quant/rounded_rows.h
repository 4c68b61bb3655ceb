#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe {

constexpr int64_t kRounded = 32;        ///< elements of a row that share a scale
constexpr int64_t kSummed = 16;         ///< and a sum of codes: the smallest group of a block format
constexpr float kLeastScaled = 1e-30f;  ///< what is smaller than that counts as 0
constexpr float kMostCode = 127, kMostWide = 4095;

/// Rows of x as signed bytes with a scale for each 32, in a product's workspace; and where a part of the weight asks
/// for them, as 16-bit integers.
struct RoundedRows {
  int8_t* codes = nullptr;       ///< [rows, in]
  float* scales = nullptr;       ///< [rows, in / 32]
  int32_t* sums = nullptr;       ///< [rows, in / 16]: of codes
  int16_t* wide = nullptr;       ///< [rows, in]; null: nobody asks
  float* wide_scales = nullptr;  ///< [rows, in / 32]

  static constexpr int64_t up(int64_t bytes) { return (bytes + 63) / 64 * 64; }
  static constexpr int64_t bytes(int64_t rows, int64_t in, bool with_wide) {
    int64_t bytes = up(rows * in) + up(rows * in / kRounded * 4) + up(rows * in / kSummed * 4);
    return with_wide ? bytes + up(rows * in * 2) + up(rows * in / kRounded * 4) : bytes;
  }
  RoundedRows(std::byte* at, int64_t rows, int64_t in, bool with_wide) {
    codes = reinterpret_cast<int8_t*>(at);
    scales = reinterpret_cast<float*>(at += up(rows * in));
    sums = reinterpret_cast<int32_t*>(at += up(rows * in / kRounded * 4));
    at += up(rows * in / kSummed * 4);
    if (!with_wide) return;
    wide = reinterpret_cast<int16_t*>(at);
    wide_scales = reinterpret_cast<float*>(at + up(rows * in * 2));
  }
};

}  // namespace lathe
