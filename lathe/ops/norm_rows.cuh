#pragma once
// Rows that a team of threads reads several times: from registers where they fit.

#include <cuda_pipeline_primitives.h>

#include "lathe/ops/row_packs.cuh"
#include "lathe/tensor/reduce.cuh"

namespace lathe {

/// The threads that share a row: a warp, or (`whole`) the block.
template <bool whole>
struct Team {
  __device__ static int lane() { return whole ? int(threadIdx.x) : int(threadIdx.x) % kWarp; }
  __device__ static int lanes() { return whole ? int(blockDim.x) : kWarp; }
  __device__ static int number() { return whole ? 0 : int(threadIdx.x) / kWarp; }
  __device__ static int teams() { return whole ? 1 : int(blockDim.x) / kWarp; }
  __device__ static float sum(float value) {
    if constexpr (whole) return over_block(value, SumOf());
    return over_warp(value, SumOf());
  }
};

/// A row in registers: up to `packs` packs of `size` columns a thread. each(visitor) calls visitor(pack, column,
/// values) for those that the row has.
template <class T, int size, int packs, bool whole>
struct HeldRow {
  __device__ HeldRow(const T* row, int64_t columns) : columns_(int(columns)) {
#pragma unroll
    for (int p = 0; p < packs; ++p)
      if (column(p) < columns_) held_[p] = *reinterpret_cast<const Pack<T, size>*>(row + column(p));
  }
  template <class Visitor>
  __device__ void each(Visitor visitor) const {
#pragma unroll
    for (int p = 0; p < packs; ++p) {
      if (column(p) >= columns_) continue;
      float values[size];
      at(p, column(p), values);
      visitor(p, column(p), values);
    }
  }
  /// What each() calls its visitor with.
  __device__ void at(int pack, int64_t, float (&values)[size]) const {
#pragma unroll
    for (int i = 0; i < size; ++i) values[i] = to_float(held_[pack].values[i]);
  }

 private:
  int columns_;
  Pack<T, size> held_[packs];

  __device__ static int column(int pack) { return (pack * Team<whole>::lanes() + Team<whole>::lane()) * size; }
};

/// A row in shared memory, each thread's packs where only it reads them, `blockDim` apart; the same interface.
template <class T, int size, int packs, bool whole>
class StagedRow {
 public:
  __device__ StagedRow(Pack<T, size>* own, int64_t columns) : own_(own), columns_(int(columns)) {}
  /// Begins to copy `row` here; the thread that did so waits for it with __pipeline_wait_prior().
  __device__ void fetch(const T* row) const {
#pragma unroll
    for (int p = 0; p < packs; ++p)
      if (column(p) < columns_)
        __pipeline_memcpy_async(own_ + p * int(blockDim.x), row + column(p), sizeof(Pack<T, size>));
  }
  template <class Visitor>
  __device__ void each(Visitor visitor) const {
#pragma unroll
    for (int p = 0; p < packs; ++p) {
      if (column(p) >= columns_) continue;
      float values[size];
      at(p, column(p), values);
      visitor(p, column(p), values);
    }
  }
  __device__ void at(int pack, int64_t, float (&values)[size]) const {
    load(own_[pack * int(blockDim.x)].values, values);
  }

 private:
  Pack<T, size>* own_;
  int columns_;

  __device__ static int column(int pack) { return (pack * Team<whole>::lanes() + Team<whole>::lane()) * size; }
};

/// A row left in memory, for any number of columns; the same interface, one column at a time.
template <class T>
struct ReadRow {
  __device__ ReadRow(const T* row, int64_t columns) : row_(row), columns_(columns) {}
  template <class Visitor>
  __device__ void each(Visitor visitor) const {
    for (int64_t c = threadIdx.x; c < columns_; c += blockDim.x) {
      float values[1] = {to_float(row_[c])};
      visitor(0, c, values);
    }
  }
  __device__ void at(int, int64_t column, float (&values)[1]) const { values[0] = to_float(row_[column]); }

 private:
  const T* row_;
  int64_t columns_;
};

/// How rows are shared out.
struct RowTeams {
  bool held;         ///< rows fit into registers, in packs
  bool whole;        ///< a block a row; else a warp
  int packs;         ///< of a thread: one of kPacksOfThread
  unsigned threads;  ///< of a block
};

constexpr int kPacksOfThread[] = {1, 3, 4, 8};  ///< in bf16 and a warp: rows of 256, 768, 1024, 2048

/// For rows of `columns` in packs of `size`, which do or do not `fit`; at most `most` packs a thread, `threads` a
/// block.
inline RowTeams row_teams(int64_t columns, int size, bool fit, int most, int threads) {
  int64_t packs = columns / size;
  if (!fit || packs > threads * most) return {false, true, 1, unsigned(threads)};
  for (int of_thread : kPacksOfThread)  // one warp a row, if it can: no barriers
    if (of_thread <= most && packs <= kWarp * of_thread) return {true, false, of_thread, unsigned(threads)};
  return {true, true, most, unsigned(((packs + most - 1) / most + kWarp - 1) / kWarp * kWarp)};
}

}  // namespace lathe
