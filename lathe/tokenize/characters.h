#pragma once

#include <cstddef>
#include <cstdint>

namespace lathe::tokenize {

/// What splitting needs to know of a character. Letter, number and space exclude each other; word is \w.
enum CharacterClass : uint8_t { kOther = 0, kLetter = 1, kNumber = 2, kSpace = 4, kWord = 8 };

/// Classes of every code point, bits of CharacterClass; made once from character_ranges.h.
extern const uint8_t* const kClasses;

/// One character of a text. Bytes that are no UTF-8 count as characters of one byte that are neither letter nor number
/// nor space.
struct Character {
  uint32_t code;   // kNoCharacter when the byte is not UTF-8
  uint32_t bytes;  // 1 to 4
};
constexpr uint32_t kNoCharacter = 0xFFFFFFFF;

inline bool continues(unsigned char byte) { return (byte & 0xC0) == 0x80; }

/// The character at `p` < `end`.
inline Character character_at(const char* p, const char* end) {
  const auto byte = [p](int i) { return static_cast<unsigned char>(p[i]); };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const ptrdiff_t left = end - p;
  if (first >= 0xC2 && first < 0xE0 && left >= 2 && continues(byte(1))) {
    return {(first & 0x1F) << 6 | (byte(1) & 0x3Fu), 2};
  }
  if (first >= 0xE0 && first < 0xF0 && left >= 3 && continues(byte(1)) && continues(byte(2))) {
    const uint32_t code = (first & 0x0F) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu);
    if (code >= 0x800 && (code < 0xD800 || code > 0xDFFF)) return {code, 3};
  }
  if (first >= 0xF0 && first < 0xF5 && left >= 4 && continues(byte(1)) && continues(byte(2)) && continues(byte(3))) {
    const uint32_t code = (first & 0x07) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu);
    if (code >= 0x10000 && code <= 0x10FFFF) return {code, 4};
  }
  return {kNoCharacter, 1};
}

inline uint8_t class_of(uint32_t code) { return code <= 0x10FFFF ? kClasses[code] : uint8_t{kOther}; }

}  // namespace lathe::tokenize
