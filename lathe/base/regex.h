#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace lathe {

/// A regular expression over text that need not be valid UTF-8. Immutable; any thread may use it.
class Regex {
 public:
  /// Throws Error when `pattern` is no regular expression.
  explicit Regex(const std::string& pattern);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  /// The first match of at least one byte from `from` on, as `begin` and `end`; false when there is none. Throws Error
  /// when matching takes too much of time or memory.
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end) const;

  /// Calls use(begin, end) for each such match, from left to right.
  template <class Use>
  void each_match(std::string_view text, Use use) const {
    size_t begin = 0, end = 0;
    while (find(text, end, begin, end)) use(begin, end);
  }

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace lathe
