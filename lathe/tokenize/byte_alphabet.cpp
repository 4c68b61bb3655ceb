#include "lathe/tokenize/byte_alphabet.h"

#include "lathe/base/utf8.h"
#include "lathe/tokenize/characters.h"

namespace lathe::tokenize {
namespace {

bool prints(uint32_t byte) { return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD); }

std::array<uint32_t, 256> make_characters() {
  std::array<uint32_t, 256> characters{};
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) characters[byte] = prints(byte) ? byte : next++;
  return characters;
}

/// Byte of each character below 0x144, -1 where there is none.
std::array<int16_t, 0x144> make_bytes() {
  std::array<int16_t, 0x144> bytes{};
  bytes.fill(-1);
  for (int byte = 0; byte < 256; ++byte)
    bytes[byte_characters()[static_cast<size_t>(byte)]] = static_cast<int16_t>(byte);
  return bytes;
}

}  // namespace

const std::array<uint32_t, 256>& byte_characters() {
  static const std::array<uint32_t, 256> characters = make_characters();
  return characters;
}

std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  for (const char byte : bytes) append_utf8(spelling, byte_characters()[static_cast<unsigned char>(byte)]);
  return spelling;
}

std::optional<std::string> spelt_bytes(std::string_view spelling) {
  static const std::array<int16_t, 0x144> bytes = make_bytes();
  std::string out;
  const char* const end = spelling.data() + spelling.size();
  for (const char* p = spelling.data(); p != end;) {
    const Character c = character_at(p, end);
    if (c.code >= bytes.size() || bytes[c.code] < 0) return std::nullopt;
    out += static_cast<char>(bytes[c.code]);
    p += c.bytes;
  }
  return out;
}

}  // namespace lathe::tokenize
