#pragma once

#include <string>
#include <vector>

namespace lathe {

/// Rows of cells as text in columns: the first flush left, all others flush right. A row may have fewer cells.
class TextTable {
 public:
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// One line a row, each indented by two spaces.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace lathe
