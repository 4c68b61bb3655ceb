#pragma once

#include <cstddef>
#include <string_view>

namespace lathe::data {

/// Where a long text may be cut so that its parts, tokenized apart, give the tokens of the whole: the last such place
/// at or before `limit`. Between a letter and a single space before another letter, or else beside a line break, every
/// splitter built here begins a new piece. Where the last 64 KiB before `limit` hold no such place, the nearest place
/// between two characters. `limit` must be above 3 and below text.size().
size_t safe_cut(std::string_view text, size_t limit);

}  // namespace lathe::data
