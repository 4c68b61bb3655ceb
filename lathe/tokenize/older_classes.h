#pragma once

#include <cstdint>

namespace lathe::tokenize {

/// Bits of older_categories.h.
enum OlderClass : uint8_t {
  kIsPunctuation = 1,
  kIsControl = 2,
  kIsNonspacingMark = 4,
  kIsMark = 8,
  kIsUndecomposed = 16
};

/// Bits of OlderClass; none for what is no code point.
uint8_t older_class(uint32_t code);

}  // namespace lathe::tokenize
