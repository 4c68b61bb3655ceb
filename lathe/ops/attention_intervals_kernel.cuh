#pragma once

#include "lathe/ops/attention_intervals.cuh"
#include "lathe/tensor/dependent.cuh"

namespace lathe {

/// The last sequence that begins at or before `row`; -1 if none.
__device__ inline int sequence_of(const int* offsets, int sequences, int row) {
  int low = -1, high = sequences;  // offsets[low] <= row < offsets[high], were there any outside
  while (high - low > 1) {
    int middle = (low + high) / 2;
    (offsets[middle] <= row ? low : high) = middle;
  }
  return low;
}

__device__ inline SeenKeys keys_seen_by(const SequenceLayout& layout, int row) {
  int n = sequence_of(layout.query_offsets, layout.sequences, row);
  if (n < 0 || row >= layout.query_offsets[n + 1]) return {0, 0, 0, 0};
  int start = layout.memory_offsets[n], keys = layout.keys_of(n);
  int position = row - layout.query_offsets[n] + keys - layout.queries_of(n);
  int first = layout.window > 0 ? position - layout.window + 1 : 0;
  int last = layout.causal ? position + 1 : layout.window > 0 ? position + layout.window : keys;
  first = max(start + max(first, 0), 0), last = min(start + min(last, keys), layout.memory_tokens);
  if (first >= last) return {0, 0, start + position, 0};
  return {first, last, start + position, 0};
}

__device__ inline SeeingQueries queries_that_see(const SequenceLayout& layout, int row) {
  int n = sequence_of(layout.memory_offsets, layout.sequences, row);
  if (n < 0 || row >= layout.memory_offsets[n + 1]) return {0, 0};
  int start = layout.query_offsets[n], queries = layout.queries_of(n);
  int same = row - layout.memory_offsets[n] - (layout.keys_of(n) - queries);  // the query of the same position
  int first = layout.causal ? same : layout.window > 0 ? same - layout.window + 1 : 0;
  int last = layout.window > 0 ? same + layout.window : queries;
  first = max(start + max(first, 0), 0), last = min(start + min(last, queries), layout.tokens);
  if (first >= last) return {0, 0};
  return {first, last};
}

/// The smallest of all threads' values in a block of kIntervalTile; thread 0 has it.
__device__ inline int smallest_of_tile(int value) {
  __shared__ int of_warps[kIntervalTile / 32];
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value = min(value, __shfl_xor_sync(~0u, value, distance));
  __syncthreads();  // the last call's reader is done
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  return min(of_warps[0], of_warps[1]);
}

/// [first, last) around those of all threads that are not empty.
__device__ inline int2 hull_of_tile(int first, int last) {
  bool empty = first >= last;
  int lowest = smallest_of_tile(empty ? 0x7fffffff : first), highest = -smallest_of_tile(empty ? 0 : -last);
  return highest > lowest ? int2{lowest, highest} : int2{0, 0};
}

/// A block of kIntervalTile threads for each tile of queries, then for each tile of keys.
__global__ void interval_kernel(SequenceLayout layout, Intervals to, int query_tiles) {
  let_later_kernels_begin();
  int tile = int(blockIdx.x);
  if (tile == 0 && threadIdx.x == 0) *to.taken = 0;
  if (tile < query_tiles) {
    int row = tile * int(kIntervalTile) + int(threadIdx.x);
    SeenKeys seen = row < layout.tokens ? keys_seen_by(layout, row) : SeenKeys{0, 0, 0, 0};
    to.rows[row] = seen;
    int2 hull = hull_of_tile(seen.first, seen.last);
    int all_first = -smallest_of_tile(-seen.first), all_last = smallest_of_tile(seen.last);
    if (threadIdx.x == 0) to.tiles[tile] = {hull.x, hull.y, all_first, all_last};
  } else {
    tile -= query_tiles;
    int row = tile * int(kIntervalTile) + int(threadIdx.x);
    SeeingQueries seeing = row < layout.memory_tokens ? queries_that_see(layout, row) : SeeingQueries{0, 0};
    int2 hull = hull_of_tile(seeing.first, seeing.last);
    if (threadIdx.x == 0) to.keys[tile] = {hull.x, hull.y};
  }
}

}  // namespace lathe
