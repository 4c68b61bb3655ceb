#include "lathe/tokenize/byte_tokens.h"

namespace lathe::tokenize {
namespace {

constexpr char kDigits[] = "0123456789ABCDEF";

int value_of(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

std::array<TokenId, 256> byte_tokens(const Vocabulary& vocabulary) {
  std::array<TokenId, 256> ids;
  for (size_t byte = 0; byte < 256; ++byte) {
    const char spelling[] = {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
    ids[byte] = vocabulary.id({spelling, sizeof(spelling)}).value_or(UINT32_MAX);
  }
  return ids;
}

std::optional<char> byte_of_token(std::string_view spelling) {
  if (spelling.size() != 6 || spelling.substr(0, 3) != "<0x" || spelling[5] != '>') return std::nullopt;
  const int high = value_of(spelling[3]), low = value_of(spelling[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

}  // namespace lathe::tokenize
