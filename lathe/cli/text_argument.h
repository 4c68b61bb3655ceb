#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lathe/base/line_reader.h"

namespace lathe::cli {

/// The texts that a command was given: its arguments, then those of a file, which holds one a line, or (.jsonl,
/// compressed too) an object with one in `field` a line. One thread.
class TextArguments {
 public:
  /// Throws Error when there is neither.
  TextArguments(std::vector<std::string> texts, const std::string& file, std::string field);
  /// Puts up to `most` next ones in `texts`; false when there are no more. Throws Error naming file and line.
  bool next(std::vector<std::string>& texts, size_t most);

 private:
  std::vector<std::string> given_;
  size_t taken_ = 0;
  std::string path_, field_;
  bool objects_;
  std::unique_ptr<LineReader> lines_;
};

}  // namespace lathe::cli
