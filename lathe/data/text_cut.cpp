#include "lathe/data/text_cut.h"

#include <utf8proc.h>

#include <algorithm>

#include "lathe/base/utf8.h"

namespace lathe::data {
namespace {

constexpr size_t kSearched = size_t{1} << 16;

bool is_letter(char32_t code_point) {
  if (code_point < 0x80) return (code_point | 0x20) >= 'a' && (code_point | 0x20) <= 'z';
  if (code_point > 0x10FFFF) return false;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_ascii_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Whether the character that ends before `at` is a letter.
bool letter_before(std::string_view text, size_t at) {
  size_t start = at - 1;
  while (start > 0 && at - start < 4 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return is_letter(code_point_at(text, start).value);
}

bool between_words(std::string_view text, size_t at) {
  return text[at] == ' ' && at + 1 < text.size() && letter_before(text, at) &&
         is_letter(code_point_at(text, at + 1).value);
}

/// After a single line break, or before one that follows a letter.
bool beside_line_break(std::string_view text, size_t at) {
  if (text[at] == '\n') return letter_before(text, at);
  return at >= 2 && text[at - 1] == '\n' && !is_ascii_space(text[at]) && !is_ascii_space(text[at - 2]) &&
         is_letter(code_point_at(text, at).value);
}

}  // namespace

size_t safe_cut(std::string_view text, size_t limit) {
  const size_t lowest = limit > kSearched ? limit - kSearched : 1;
  for (size_t at = limit; at > lowest; --at)
    if (between_words(text, at)) return at;
  for (size_t at = limit; at > lowest; --at)
    if (beside_line_break(text, at)) return at;
  const size_t whole = utf8_complete_prefix(text.substr(0, limit));
  return whole > 0 ? whole : limit;
}

}  // namespace lathe::data
