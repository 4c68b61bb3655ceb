#pragma once

#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/tracked_text.h"

namespace lathe::tokenize {

/// Calls use(code, begin, end) for each character of `text`, valid UTF-8.
template <class Use>
void each_character(const TrackedText& text, Use use) {
  const std::string& bytes = text.text();
  for (size_t at = 0; at < bytes.size();) {
    const Character c = character_at(bytes.data() + at, bytes.data() + bytes.size());
    use(c.code, at, at + c.bytes);
    at += c.bytes;
  }
}

inline bool is_ascii(std::string_view text) {
  for (const char byte : text) {
    if (static_cast<unsigned char>(byte) >= 0x80) return false;
  }
  return true;
}

}  // namespace lathe::tokenize
