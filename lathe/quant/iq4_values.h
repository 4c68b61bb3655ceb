#pragma once

#include <cstdint>

namespace lathe {

/// What the codes of IQ4_NL and IQ4_XS stand for: denser around 0, where weights are.
constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

}  // namespace lathe
