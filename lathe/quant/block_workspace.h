#pragma once

#include <algorithm>
#include <cstddef>

#include "lathe/quant/block_panels.h"

namespace lathe {

constexpr int64_t kRowsAtOnce = 512;  ///< of x, that an unpacked panel meets: their codes stay in L2

/// What a thread of a product with many rows writes besides out.
struct BlockWorkspace {
  UnpackedPanel panel;
  float* sums;  ///< [rows at once, 32]

  static constexpr int64_t bytes(int64_t rows) {
    return UnpackedPanel::bytes() + std::min(rows, kRowsAtOnce) * kPanelRows * 4;
  }
  BlockWorkspace(std::byte* own) {
    panel.codes = reinterpret_cast<uint8_t*>(own);
    panel.scales = reinterpret_cast<float*>(own + UnpackedPanel::kCodeBytes);
    panel.lows = panel.scales + kUnpacked / 16 * kPanelRows;
    sums = panel.lows + kUnpacked / 16 * kPanelRows;
  }
};

}  // namespace lathe
