#include "lathe/tokenize/jinja_characters.h"

#include <utf8proc.h>

#include "lathe/base/utf8.h"

namespace lathe::jinja {

bool is_space(char32_t c) {
  if (c < 0x80) return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string_view trimmed_front(std::string_view text) {
  while (!text.empty()) {
    CodePoint c = code_point_at(text, 0);
    if (!is_space(c.value)) break;
    text.remove_prefix(c.bytes);
  }
  return text;
}

std::string_view trimmed_back(std::string_view text) {
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && (text[start] & 0xC0) == 0x80) --start;
    if (!is_space(code_point_at(text, start).value)) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

int64_t character_count(std::string_view text) {
  int64_t count = 0;
  for (char byte : text) count += (byte & 0xC0) != 0x80;
  return count;
}

size_t character_offset(std::string_view text, int64_t index) {
  size_t offset = 0;
  while (offset < text.size() && index-- > 0) offset += character_bytes(text, offset);
  return offset;
}

size_t character_bytes(std::string_view text, size_t offset) {
  size_t end = offset + 1;
  while (end < text.size() && (text[end] & 0xC0) == 0x80) ++end;
  return end - offset;
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (utf8proc_category(utf8proc_int32_t(c))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

}  // namespace lathe::jinja
