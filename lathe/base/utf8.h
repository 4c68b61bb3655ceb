#pragma once

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

namespace lathe {

/// One character as text stores it. `value` is kInvalid for bytes that are no UTF-8; `bytes` is then how many of them
/// one replacement character stands for (at least 1).
struct CodePoint {
  static constexpr char32_t kInvalid = 0xFFFFFFFF;
  char32_t value = kInvalid;
  size_t bytes = 1;
  bool valid() const { return value != kInvalid; }
};

/// Whether all of `text` is UTF-8: no surrogates, no overlong forms, nothing past U+10FFFF. Gigabytes a second.
bool valid_utf8(std::string_view text);

/// Where the first byte that is not UTF-8 lies; text.size() when there is none.
size_t first_invalid_utf8(std::string_view text);

/// The character that starts at `offset` < text.size().
CodePoint code_point_at(std::string_view text, size_t offset);

/// How many bytes from the start do not end inside a character that later bytes could complete. A stream prints that
/// much and keeps the rest (at most 3 bytes). Bytes that no continuation can make valid are not held back.
size_t utf8_complete_prefix(std::string_view text);

/// Valid UTF-8 always: each maximal run that cannot be a character becomes U+FFFD, as browsers and Python do.
std::string lossy_utf8(std::string_view text);

void append_utf8(std::string& text, char32_t code_point);

/// The characters of a text: `for (CodePoint c : CodePoints(text))`. The text must outlive it.
class CodePoints {
 public:
  class Iterator {
   public:
    using value_type = CodePoint;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(std::string_view text, size_t offset) : text_(text), offset_(offset) { read(); }
    CodePoint operator*() const { return current_; }
    Iterator& operator++();
    Iterator operator++(int);
    bool operator==(const Iterator& other) const { return offset_ == other.offset_; }
    /// Where the character starts in the text.
    size_t offset() const { return offset_; }

   private:
    void read();
    std::string_view text_;
    size_t offset_ = 0;
    CodePoint current_;
  };

  explicit CodePoints(std::string_view text) : text_(text) {}
  Iterator begin() const { return {text_, 0}; }
  Iterator end() const { return {text_, text_.size()}; }

 private:
  std::string_view text_;
};

}  // namespace lathe
