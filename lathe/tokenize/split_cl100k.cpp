#include "lathe/tokenize/scan.h"
#include "lathe/tokenize/splitter.h"

namespace lathe::tokenize {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// As GPT-2's contractions in any case; ſ (U+017F) is an s to case-blind matching.
size_t contraction(const char* p, const char* end) {
  if (end - p < 2) return 0;
  const char first = lower(p[1]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (end - p < 3) return 0;
  if (p[1] == '\xC5' && p[2] == '\xBF') return 3;
  const char second = lower(p[2]);
  const bool long_form =
      (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return long_form ? 3 : 0;
}

const char* digits_end(const char* p, const char* end, int digits) {
  for (; digits > 0 && p != end; --digits) {
    const Character c = character_at(p, end);
    if (text_class(c) != kNumber) break;
    p += c.bytes;
  }
  return p;
}

const char* symbols_end(const char* p, const char* end) {
  p = run_end(p, end, kOther);
  while (p != end && (*p == '\r' || *p == '\n')) ++p;
  return p;
}

/// \s*[\r\n]+|\s+(?!\S)|\s+ : up to the last line end of the run of spaces, if there is one.
const char* spaces_end(const char* p, const char* end) {
  const char* after_line = nullptr;
  const char* run = run_end(p, end, kSpace);
  for (const char* at = run; at != p; --at) {
    if (at[-1] == '\r' || at[-1] == '\n') {
      after_line = at;
      break;
    }
  }
  return after_line ? after_line : space_end(p, end);
}

const char* word_end(const char* p, const char* end, int digits) {
  if (*p == '\'') {
    if (const size_t bytes = contraction(p, end)) return p + bytes;
  }
  const Character first = character_at(p, end);
  const uint8_t kind = text_class(first);
  const char* next = p + first.bytes;
  if (kind == kLetter) return run_end(next, end, kLetter);
  if (kind == kNumber) return digits_end(p, end, digits);
  if (next == end) return end;
  const uint8_t next_kind = text_class(character_at(next, end));
  if (next_kind == kLetter && *p != '\r' && *p != '\n') return run_end(next, end, kLetter);
  if (kind == kOther) return symbols_end(next, end);
  if (*p == ' ' && next_kind == kOther) return symbols_end(next, end);
  return spaces_end(p, end);
}

class Cl100kSplitter final : public Splitter {
 public:
  explicit Cl100kSplitter(int digits) : digits_(digits) {}
  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    const int digits = digits_;
    return split_by([digits](const char* p, const char* end) { return word_end(p, end, digits); }, text, offset, limit,
                    words);
  }

 private:
  int digits_;
};

}  // namespace

std::unique_ptr<Splitter> cl100k_splitter(int digits) { return std::make_unique<Cl100kSplitter>(digits); }

}  // namespace lathe::tokenize
