#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe::tokenize {

/// Code points `first` to `last`, both included.
struct CodepointRange {
  uint32_t first, last;
};

/// The classes that pre-tokenizers distinguish, as Unicode 16.0 has them: \p{L}, \p{N}, White_Space and the \w of
/// UTS 18. Fixed here, and not taken from an installed library, so that ids do not change with the machine.
extern const CodepointRange kLetters[], kNumbers[], kWhitespace[], kWordCharacters[];
extern const size_t kLettersCount, kNumbersCount, kWhitespaceCount, kWordCharactersCount;

}  // namespace lathe::tokenize
