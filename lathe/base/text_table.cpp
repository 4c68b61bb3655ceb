#include "lathe/base/text_table.h"

#include <algorithm>

namespace lathe {

std::string TextTable::text() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      std::string space(widths[i] - row[i].size(), ' ');
      out += "  " + (i == 0 ? row[i] + (row.size() > 1 ? space : "") : space + row[i]);
    }
    out += '\n';
  }
  return out;
}

}  // namespace lathe
