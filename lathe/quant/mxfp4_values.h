#pragma once

#include <cstdint>

namespace lathe {

/// What the codes of MXFP4 stand for, doubled.
constexpr int8_t kMxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace lathe
