#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "lathe/base/error.h"
#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/splitter.h"

namespace lathe::tokenize {
namespace {

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

std::string message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

/// MATCH_INVALID_UTF is what makes matching safe on any bytes: without it pcre2_jit_match reads beyond the text.
class RegexSplitter final : public Splitter {
 public:
  explicit RegexSplitter(const std::string& pattern) {
    int code = 0;
    PCRE2_SIZE where = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &where,
                              nullptr));
    require(code_ != nullptr, "pre_tokenizer.pattern.Regex: ", message(code), " at character ", where, " of '", pattern,
            "'");
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
  }

  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    const std::unique_ptr<pcre2_match_data, FreeMatch> match(pcre2_match_data_create(1, nullptr));
    size_t from = offset;  // the first byte that is in no word so far
    for (size_t at = offset; at < text.size() && limit > 0;) {
      const int found =
          pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, 0, match.get(), nullptr);
      if (found == PCRE2_ERROR_NOMATCH) break;
      require(found >= 0, "splitting text by the tokenizer's regular expression: ", message(found));
      const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.get());
      if (bounds[1] <= bounds[0]) {
        at += character_at(text.data() + at, text.data() + text.size()).bytes;
        continue;
      }
      if (bounds[0] > from) words.push_back(text.substr(from, bounds[0] - from));
      words.push_back(text.substr(bounds[0], bounds[1] - bounds[0]));
      at = from = bounds[1];
      --limit;
    }
    if (limit == 0) return from;
    if (from < text.size()) words.push_back(text.substr(from));
    return text.size();
  }
  bool cuts_after_letters() const override { return false; }

 private:
  std::unique_ptr<pcre2_code, FreeCode> code_;
};

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt2Short = R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kCl100kHead = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
constexpr const char* kCl100kTail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTiktoken =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";

}  // namespace

std::unique_ptr<Splitter> regex_splitter(const std::string& pattern) {
  if (pattern == kGpt2 || pattern == kGpt2Short) return gpt2_splitter();
  if (pattern == std::string(kCl100kHead) + R"(\p{N}{1,3})" + kCl100kTail) return cl100k_splitter(3);
  if (pattern == std::string(kCl100kHead) + R"(\p{N})" + kCl100kTail) return cl100k_splitter(1);
  if (pattern == kTiktoken) return cl100k_splitter(3);
  return std::make_unique<RegexSplitter>(pattern);
}

}  // namespace lathe::tokenize
