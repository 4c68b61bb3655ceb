#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace lathe::tokenize {

/// A word shorter than 16 bytes as two numbers, its length in the highest byte; compares in two instructions.
struct PackedWord {
  uint64_t low = 0, high = 0;
  bool operator==(const PackedWord&) const = default;
  uint64_t hash() const {
    const uint64_t mixed = (low ^ high * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    return mixed ^ mixed >> 32;
  }
};

template <class Number>
uint64_t loaded(const char* p) {
  Number value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

/// Packs `word`, of 1 to 15 bytes, reading no byte beyond it.
inline PackedWord packed(std::string_view word) {
  const char* p = word.data();
  const size_t n = word.size();
  const uint64_t length = uint64_t{n} << 56;
  if (n >= 8) return {loaded<uint64_t>(p), length | loaded<uint64_t>(p + n - 8) >> 1 >> (8 * (16 - n) - 1)};
  if (n >= 4) return {loaded<uint32_t>(p) | loaded<uint32_t>(p + n - 4) << (8 * (n - 4)), length};
  const size_t middle = n / 2, last = n - 1;
  return {loaded<uint8_t>(p) | loaded<uint8_t>(p + middle) << (8 * middle) | loaded<uint8_t>(p + last) << (8 * last),
          length};
}

}  // namespace lathe::tokenize
