#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/tokenize/tracked_text.h"

namespace lathe::tokenize {

/// Where a part of a text lies: whether it begins and ends where the stretch does that is normalized as one (the text
/// between two added tokens), and whether that is the beginning of the text itself.
struct Edges {
  bool front = true, back = true, start = true;
};

/// A step that rewrites text before it is split or, as part of a pre-tokenizer, words after. Immutable; any thread may
/// use it.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Appends to `out` what `text`, valid UTF-8, becomes.
  virtual void apply(const TrackedText& text, Edges edges, TrackedText& out) const = 0;
  /// True when text cut before a space, behind a letter, digit or ASCII sign, becomes what its parts become.
  virtual bool is_local() const { return true; }
  /// True when letters, digits and ASCII signs stay as they are.
  virtual bool keeps_letters() const { return false; }
  /// True when ASCII stays as it is, wherever it stands.
  virtual bool keeps_ascii() const { return false; }
};

using NormalizerPointer = std::unique_ptr<Normalizer>;

/// U+FFFD for each run of bytes that is no character. Takes any bytes.
NormalizerPointer valid_text();

/// Unicode's normal forms, in which characters that Hugging Face's tables do not decompose stay.
NormalizerPointer composed_form();        // NFC
NormalizerPointer decomposed_form();      // NFD
NormalizerPointer compatible_composed();  // NFKC
NormalizerPointer compatible_decomposed();

/// Each character's lower case, without regard to its neighbours.
NormalizerPointer lower_case();
/// Without marks (category M).
NormalizerPointer without_marks();
/// What the NMT project removes and takes for spaces.
NormalizerPointer nmt_cleaning();

/// BERT's cleaning (Devlin et al. 2018).
struct BertCleaning {
  bool clean = true;            // no control characters, whitespace as spaces
  bool chinese_apart = true;    // spaces around CJK ideographs
  bool without_accents = true;  // NFD less nonspacing marks
  bool lower = true;
};
NormalizerPointer bert_cleaning(BertCleaning cleaning);

/// Without whitespace at the ends of the text.
NormalizerPointer stripped(bool front, bool back);
/// `prefix` in front of a text that is not empty.
NormalizerPointer with_prefix(std::string prefix);
/// `prefix` in front of a text that is not empty and does not begin with it.
NormalizerPointer with_missing_prefix(std::string prefix);
/// Each `what` becomes `with`.
NormalizerPointer replaced(std::string what, std::string with);
/// Each match of a regular expression becomes `with`. Throws Error when it is none.
NormalizerPointer replaced_matches(const std::string& pattern, std::string with);
/// Bytes in the characters of byte_alphabet.h.
NormalizerPointer spelt_in_bytes();

/// How text is looked up in a character map of SentencePiece.
enum class CharsmapUse : uint8_t {
  longest_match,  // as SentencePiece: at each place the longest entry
  graphemes       // as Hugging Face: the shortest entry that a short grapheme, otherwise each character, begins with
};
/// SentencePiece's precompiled map: a double array of keys, then what they become. Throws Error when `charsmap` is
/// none.
NormalizerPointer precompiled(std::string charsmap, CharsmapUse use);

/// One after another.
NormalizerPointer normalizer_sequence(std::vector<NormalizerPointer> steps);

}  // namespace lathe::tokenize
