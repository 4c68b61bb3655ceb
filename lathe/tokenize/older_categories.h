#pragma once

#include "lathe/tokenize/character_ranges.h"

namespace lathe::tokenize {

/// Categories as the Unicode tables of Hugging Face's normalizers and pre-tokenizers have them (7.0 and 9.0): models
/// were trained with those. Punctuation holds ASCII's symbols too; controls are what BERT's cleaning removes (Cc, Cf,
/// Co, U+FFFD); marks are all of M; undecomposed are characters that got a decomposition later.
extern const CodepointRange kPunctuation[], kControls[], kNonspacingMarks[], kMarks[], kUndecomposed[];
extern const size_t kPunctuationCount, kControlsCount, kNonspacingMarksCount, kMarksCount, kUndecomposedCount;

}  // namespace lathe::tokenize
