#include "lathe/base/line_reader.h"

#include <algorithm>

#include "lathe/base/error.h"

namespace lathe {

LineReader::LineReader(const std::string& path, int64_t longest_line) : input_(path), longest_line_(longest_line) {}

bool LineReader::next(std::string_view& line) {
  while (true) {
    size_t end = buffer_.find('\n', scanned_);
    bool found = end != std::string::npos;
    if (!found && !ended_) {
      scanned_ = buffer_.size();
      ended_ = !refill();
      continue;
    }
    if (!found && begin_ == buffer_.size()) return false;
    size_t stop = found ? end : buffer_.size();
    ++number_;
    line = std::string_view(buffer_).substr(begin_, stop - begin_);
    require(int64_t(line.size()) <= longest_line_, input_.path(), ":", number_, ": a line of ", line.size(),
            " bytes, the longest allowed is ", longest_line_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    begin_ = scanned_ = found ? stop + 1 : stop;
    return true;
  }
}

/// Moves the unfinished line to the front and reads more behind it; false at the end of the input.
bool LineReader::refill() {
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  require(int64_t(buffer_.size()) <= longest_line_, input_.path(), ":", number_ + 1, ": a line longer than the ",
          longest_line_, " bytes allowed");
  size_t before = buffer_.size();
  buffer_.resize(before + std::max<size_t>(256 << 10, before));
  size_t count = size_t(input_.read(std::span(buffer_).subspan(before)));
  buffer_.resize(before + count);
  return count > 0;
}

}  // namespace lathe
