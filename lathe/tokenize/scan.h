#pragma once

#include <string_view>
#include <vector>

#include "lathe/tokenize/characters.h"

/// What hand-written splitters share: runs of one class, and the rule for whitespace.
namespace lathe::tokenize {

/// kLetter, kNumber, kSpace or kOther.
inline uint8_t text_class(Character c) { return class_of(c.code) & (kLetter | kNumber | kSpace); }

/// Where the run of `kind` that `p` may continue ends.
inline const char* run_end(const char* p, const char* end, uint8_t kind) {
  while (p != end) {
    const auto byte = static_cast<unsigned char>(*p);
    if (byte < 0x80) {
      if ((kClasses[byte] & (kLetter | kNumber | kSpace)) != kind) return p;
      ++p;
      continue;
    }
    const Character c = character_at(p, end);
    if (text_class(c) != kind) return p;
    p += c.bytes;
  }
  return p;
}

/// The end of the match of \s+(?!\S)|\s+ at the space `p`: the run of spaces, without its last one when text follows
/// and another space is left.
inline const char* space_end(const char* p, const char* end) {
  const char* last = p;
  const char* first_end = p + character_at(p, end).bytes;
  const char* stop = first_end;
  while (stop != end) {
    const Character c = character_at(stop, end);
    if (text_class(c) != kSpace) return last == p ? first_end : last;
    last = stop;
    stop += c.bytes;
  }
  return stop;
}

/// Splitter::split for a function (p, end) -> end of the word that starts at p, where words cover the text.
template <class WordEnd>
size_t split_by(WordEnd word_end, std::string_view text, size_t offset, size_t limit,
                std::vector<std::string_view>& words) {
  const char* p = text.data() + offset;
  const char* const end = text.data() + text.size();
  for (; limit > 0 && p != end; --limit) {
    const char* next = word_end(p, end);
    words.emplace_back(p, static_cast<size_t>(next - p));
    p = next;
  }
  return static_cast<size_t>(p - text.data());
}

}  // namespace lathe::tokenize
