#pragma once

#include <algorithm>
#include <cstdint>

namespace lathe {

/// Below this many elements a parallel region costs more than it saves.
constexpr int64_t kParallelElements = 1 << 15;

/// Sums over rows are split into this many chunks whatever the number of threads, and added in order: equal bits.
constexpr int64_t kRowChunks = 32;

/// Row chunks a kernel over `rows` rows uses.
inline int64_t row_chunks(int64_t rows) { return std::clamp<int64_t>(rows, 1, kRowChunks); }

}  // namespace lathe
