#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lathe/base/text_input.h"

namespace lathe {

/// The lines of a TextInput, without their "\n" or "\r\n". A last line without an end counts; an empty rest does not.
class LineReader {
 public:
  static constexpr int64_t kLongestLine = int64_t{1} << 30;

  explicit LineReader(const std::string& path, int64_t longest_line = kLongestLine);

  /// Puts the next line in `line`, valid until the next call; false at the end. Throws Error naming file and line
  /// when a line is longer than allowed, or as TextInput does.
  bool next(std::string_view& line);
  /// Number of the line that next() gave last, from 1.
  int64_t number() const { return number_; }
  const TextInput& input() const { return input_; }

 private:
  bool refill();

  TextInput input_;
  int64_t longest_line_;
  std::string buffer_;
  size_t begin_ = 0;    // of what next() has not given yet
  size_t scanned_ = 0;  // no line end before this
  bool ended_ = false;
  int64_t number_ = 0;
};

}  // namespace lathe
