#include "lathe/base/error.h"
#include "lathe/base/regex.h"
#include "lathe/tokenize/splitter.h"

namespace lathe::tokenize {
namespace {

class RegexSplitter final : public Splitter {
 public:
  explicit RegexSplitter(const std::string& pattern) : regex_(pattern) {}

  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    size_t at = offset, begin = 0, end = 0;  // `at`: the first byte that is in no word so far
    for (; limit > 0 && regex_.find(text, at, begin, end); --limit) {
      if (begin > at) words.push_back(text.substr(at, begin - at));
      words.push_back(text.substr(begin, end - begin));
      at = end;
    }
    if (limit == 0) return at;
    if (at < text.size()) words.push_back(text.substr(at));
    return text.size();
  }
  bool cuts_after_letters() const override { return false; }

 private:
  Regex regex_;
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
  if (pattern == text(kCl100kHead, R"(\p{N}{1,3})", kCl100kTail)) return cl100k_splitter(3);
  if (pattern == text(kCl100kHead, R"(\p{N})", kCl100kTail)) return cl100k_splitter(1);
  if (pattern == kTiktoken) return cl100k_splitter(3);
  return std::make_unique<RegexSplitter>(pattern);
}

}  // namespace lathe::tokenize
