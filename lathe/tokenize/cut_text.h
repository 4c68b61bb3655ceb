#pragma once

#include <cstddef>
#include <string_view>

namespace lathe::tokenize {

/// A place behind `from` > 0 where `text` may be cut without changing how it splits, for splitters whose
/// cuts_after_letters() holds: a space or newline behind an ASCII letter. text.size() when there is none.
inline size_t cut_behind(std::string_view text, size_t from) {
  for (size_t at = from; at < text.size(); ++at) {
    const char before = static_cast<char>(text[at - 1] | 0x20);
    if ((text[at] == ' ' || text[at] == '\n') && before >= 'a' && before <= 'z') return at;
  }
  return text.size();
}

/// The last such place in `text`; 0 when there is none.
inline size_t last_cut(std::string_view text) {
  for (size_t at = text.size(); at-- > 1;) {
    const char before = static_cast<char>(text[at - 1] | 0x20);
    if ((text[at] == ' ' || text[at] == '\n') && before >= 'a' && before <= 'z') return at;
  }
  return 0;
}

}  // namespace lathe::tokenize
