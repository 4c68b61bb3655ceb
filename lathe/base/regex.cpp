#define PCRE2_CODE_UNIT_WIDTH 8
#include "lathe/base/regex.h"

#include <pcre2.h>

#include "lathe/base/error.h"
#include "lathe/base/utf8.h"

namespace lathe {
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

pcre2_match_data* thread_match() {
  thread_local const std::unique_ptr<pcre2_match_data, FreeMatch> match(pcre2_match_data_create(1, nullptr));
  return match.get();
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, FreeCode> code;
};

/// MATCH_INVALID_UTF is what makes matching safe on any bytes: without it pcre2_jit_match reads beyond the text.
Regex::Regex(const std::string& pattern) : code_(std::make_unique<Code>()) {
  int code = 0;
  PCRE2_SIZE where = 0;
  code_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code,
                                  &where, nullptr));
  require(code_->code != nullptr, "regular expression '", pattern, "': ", message(code), " at character ", where);
  pcre2_jit_compile(code_->code.get(), PCRE2_JIT_COMPLETE);
}

Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

bool Regex::find(std::string_view text, size_t from, size_t& begin, size_t& end) const {
  while (from < text.size()) {
    pcre2_match_data* match = thread_match();
    const int found =
        pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from, 0, match, nullptr);
    if (found == PCRE2_ERROR_NOMATCH) return false;
    require(found >= 0, "searching text for a regular expression: ", message(found));
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match);
    begin = bounds[0];
    end = bounds[1];
    if (end > begin) return true;
    const CodePoint skipped = code_point_at(text, from);
    from += skipped.valid() ? skipped.bytes : 1;
  }
  return false;
}

}  // namespace lathe
