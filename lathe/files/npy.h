#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "lathe/base/durable_file.h"

namespace lathe {

/// A NumPy file of f32 [rows, columns], row by row, whose number of rows is known at the end. It appears whole, with
/// commit(), or not at all. (Format 1.0: magic, header length, a Python dictionary, then the numbers.)
class NpyWriter {
 public:
  NpyWriter(const std::string& path, int64_t columns);
  /// Throws InternalError for a row of another width.
  void add(std::span<const float> row);
  void commit();

 private:
  DurableFile file_;
  int64_t columns_, rows_ = 0;
};

}  // namespace lathe
