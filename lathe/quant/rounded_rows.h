#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe {

constexpr int64_t kRounded = 32;        ///< elements of a row that share a scale
constexpr int64_t kSummed = 16;         ///< and a sum of codes: the smallest group of a block format
constexpr float kLeastScaled = 1e-30f;  ///< what is smaller than that counts as 0

/// Rows of x as signed bytes with a scale for each 32, in a product's workspace.
struct RoundedRows {
  int64_t in = 0;
  int8_t* codes = nullptr;  ///< [rows, in]
  float* scales = nullptr;  ///< [rows, in / 32]
  int32_t* sums = nullptr;  ///< [rows, in / 16]: of codes

  static constexpr int64_t bytes(int64_t rows, int64_t in) {
    return (rows * (in + in / kRounded * 4 + in / kSummed * 4) + 191) / 64 * 64;
  }
  RoundedRows(std::byte* workspace, int64_t rows, int64_t columns)
      : in(columns),
        codes(reinterpret_cast<int8_t*>(workspace)),
        scales(reinterpret_cast<float*>(workspace + (rows * in + 63) / 64 * 64)),
        sums(reinterpret_cast<int32_t*>(scales + rows * (in / kRounded))) {}

  const int8_t* codes_of(int64_t row) const { return codes + row * in; }
  const float* scales_of(int64_t row) const { return scales + row * (in / kRounded); }
  const int32_t* sums_of(int64_t row) const { return sums + row * (in / kSummed); }
};

}  // namespace lathe
