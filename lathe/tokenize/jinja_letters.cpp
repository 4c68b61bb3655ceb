#include <utf8proc.h>

#include "lathe/base/utf8.h"
#include "lathe/tokenize/jinja_characters.h"
#include "lathe/tokenize/jinja_methods.h"

namespace lathe::jinja {
namespace {

/// Characters whose upper case is several (Unicode's SpecialCasing, the letters of living Latin scripts).
constexpr std::pair<char32_t, std::string_view> kLongUpper[] = {
    {0xDF, "SS"},   {0x149, "\u02BCN"}, {0x1F0, "J\u030C"}, {0xFB00, "FF"}, {0xFB01, "FI"},
    {0xFB02, "FL"}, {0xFB03, "FFI"},    {0xFB04, "FFL"},    {0xFB05, "ST"}, {0xFB06, "ST"}};

void append_upper(std::string& out, char32_t c) {
  for (const auto& [letter, upper] : kLongUpper)
    if (letter == c) {
      out += upper;
      return;
    }
  append_utf8(out, char32_t(utf8proc_toupper(utf8proc_int32_t(c))));
}

void append_lower(std::string& out, char32_t c) {
  if (c == 0x130)
    out += "i\u0307";
  else
    append_utf8(out, char32_t(utf8proc_tolower(utf8proc_int32_t(c))));
}

/// Each character as `append(out, character, index)` makes it.
template <class Append>
MarkedText mapped(const MarkedText& text, Run& run, Append append) {
  run.charge(int64_t(text.size()) * 2);
  MarkedText out;
  size_t index = 0;
  for (size_t i = 0; i < text.size(); ++index) {
    CodePoint c = code_point_at(text.bytes(), i);
    std::string piece;
    append(piece, c.value, index);
    out.append_like(piece, text, i);
    i += c.bytes;
  }
  return out;
}

}  // namespace

MarkedText in_upper_case(const MarkedText& text, Run& run) {
  return mapped(text, run, [](std::string& out, char32_t c, size_t) { append_upper(out, c); });
}

MarkedText in_lower_case(const MarkedText& text, Run& run) {
  return mapped(text, run, [](std::string& out, char32_t c, size_t) { append_lower(out, c); });
}

MarkedText capitalized(const MarkedText& text, Run& run) {
  return mapped(text, run, [](std::string& out, char32_t c, size_t index) {
    index == 0 ? append_utf8(out, char32_t(utf8proc_totitle(utf8proc_int32_t(c)))) : append_lower(out, c);
  });
}

}  // namespace lathe::jinja
