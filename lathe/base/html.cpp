#include "lathe/base/html.h"

#include "lathe/base/utf8.h"

namespace lathe {
namespace {

constexpr char32_t kPictureOfNul = 0x2400, kPictureOfDelete = 0x2421, kReplacement = 0xFFFD;

/// U+0080 to U+009F and the two that XML forbids have no picture.
bool unprintable(char32_t c) { return (c >= 0x80 && c < 0xA0) || c == 0xFFFE || c == 0xFFFF; }

}  // namespace

std::string html_text(std::string_view text) {
  std::string out, valid = lossy_utf8(text);
  out.reserve(valid.size());
  for (CodePoint c : CodePoints(valid)) {
    if (c.value == '<')
      out += "&lt;";
    else if (c.value == '>')
      out += "&gt;";
    else if (c.value == '&')
      out += "&amp;";
    else if (c.value == '"')
      out += "&quot;";
    else if (c.value < 0x20 && c.value != '\n' && c.value != '\t')
      append_utf8(out, kPictureOfNul + c.value);
    else if (c.value == 0x7F)
      append_utf8(out, kPictureOfDelete);
    else
      append_utf8(out, unprintable(c.value) ? kReplacement : c.value);
  }
  return out;
}

}  // namespace lathe
