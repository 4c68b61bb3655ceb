#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/base/text_input.h"

namespace lathe::data {

/// The records of a CSV or TSV file as RFC 4180 has them: a field in double quotes may hold delimiters, line breaks and
/// doubled quotes. One thread.
class TableReader {
 public:
  static constexpr size_t kLongestRecord = size_t{1} << 28;

  TableReader(const std::string& path, char delimiter);

  /// Reads the next record that is no blank line; false at the end. What is wrong with it is put in `wrong` (empty
  /// when nothing is); the reader then stands behind its line.
  bool next(std::vector<std::string>& fields, std::string& wrong);
  /// The line that the last record began in, from 1.
  int64_t line() const { return record_line_; }
  const TextInput& input() const { return input_; }

 private:
  static constexpr int kEnd = -1;
  int peek();
  int take();
  void read_quoted(std::string& field, std::string& wrong);
  void read_plain(std::string& field, std::string& wrong);
  void skip_line();

  TextInput input_;
  char delimiter_;
  std::string block_;
  size_t at_ = 0, filled_ = 0;
  int64_t line_ = 1, record_line_ = 1;
};

}  // namespace lathe::data
