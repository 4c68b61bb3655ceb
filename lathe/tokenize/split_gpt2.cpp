#include "lathe/tokenize/scan.h"
#include "lathe/tokenize/splitter.h"

namespace lathe::tokenize {
namespace {

/// Bytes of the contraction ('s 't 're 've 'm 'll 'd) whose apostrophe stands at `p`; 0 when there is none.
size_t contraction(const char* p, const char* end) {
  if (end - p < 2) return 0;
  const char first = p[1];
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (end - p < 3) return 0;
  const char second = p[2];
  const bool long_form =
      (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return long_form ? 3 : 0;
}

const char* word_end(const char* p, const char* end) {
  if (*p == '\'') {
    if (const size_t bytes = contraction(p, end)) return p + bytes;
  }
  Character now = character_at(p, end);
  uint8_t kind = text_class(now);
  if (kind != kSpace) return run_end(p + now.bytes, end, kind);
  const char* next = p + now.bytes;
  if (next == end) return end;
  if (*p == ' ') {
    now = character_at(next, end);
    kind = text_class(now);
    if (kind != kSpace) return run_end(next + now.bytes, end, kind);
  }
  return space_end(p, end);
}

class Gpt2Splitter final : public Splitter {
 public:
  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    return split_by([](const char* p, const char* end) { return word_end(p, end); }, text, offset, limit, words);
  }
};

}  // namespace

std::unique_ptr<Splitter> gpt2_splitter() { return std::make_unique<Gpt2Splitter>(); }

}  // namespace lathe::tokenize
