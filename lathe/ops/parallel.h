#pragma once

#include <cstdint>

namespace lathe {

/// Below this many elements a parallel region costs more than it saves.
constexpr int64_t kParallelElements = 1 << 15;

/// Sums over rows are split into this many chunks whatever the number of threads, and added in order: equal bits.
constexpr int64_t kRowChunks = 32;

/// Row chunks a kernel over `rows` rows uses.
constexpr int64_t row_chunks(int64_t rows) { return rows < 1 ? 1 : rows < kRowChunks ? rows : kRowChunks; }

}  // namespace lathe
