#pragma once
// Gradients of an additive bias by distance, summed in a fixed order.

#include "lathe/ops/attention_intervals.cuh"

namespace lathe {

/// Called by the whole block.
__device__ inline void clear_bias(float* dbias, int distances) {
  for (int i = int(threadIdx.x); i < distances; i += int(blockDim.x)) dbias[i] = 0;
  __syncthreads();
}

/// The gradients of scores of a tile of queries and keys, in shared memory.
struct BiasTile {
  int queries, keys, stride;
  float *values, *diagonals;

  static constexpr int bytes(int queries, int keys) {
    return (queries * (keys + 1) + queries + keys) * int(sizeof(float));
  }
  __device__ BiasTile(void* memory, int query_count, int key_count)
      : queries(query_count),
        keys(key_count),
        stride(key_count + 1),
        values(static_cast<float*>(memory)),
        diagonals(values + query_count * stride) {}

  /// Where a lane's sums of a warp's rows lie: `row` and eight below, `column` and the next.
  template <int blocks>
  __device__ void put(const float (&scores)[blocks][4], int row, int column) {
#pragma unroll
    for (int i = 0; i < blocks; ++i)
#pragma unroll
      for (int c = 0; c < 4; ++c) values[(row + 8 * (c / 2)) * stride + column + 8 * i + c % 2] = scores[i][c];
  }

  /// Adds the tile, whose keys begin at row `key`, to a block's own sums. The queries of one sequence follow each
  /// other, and on a diagonal of theirs the distance is one number. Called by the whole block, of at least 32 threads.
  template <class T>
  __device__ void add_to(const AttentionView<T>& in, const SeenKeys* rows, int key, float* dbias) {
    __syncthreads();
    for (int first = 0, last; first < queries; first = last) {
      for (last = first + 1; last < queries && rows[last].self - last == rows[first].self - first;) ++last;
      int column = key - rows[first].self + first + in.bias_zero - (queries - 1);  // of diagonal 0, not clamped
      for (int d = int(threadIdx.x); d < queries + keys - 1; d += int(blockDim.x)) {
        float sum = 0;  // of keys d - (queries - 1) + row
        for (int row = max(first, queries - 1 - d); row < min(last, queries - 1 - d + keys); ++row)
          sum += values[row * stride + d - (queries - 1) + row];
        diagonals[d] = sum;
        if (column + d > 0 && column + d < in.distances - 1) dbias[column + d] += sum;
      }
      __syncthreads();
      add_ends(column, in.distances, dbias);
      __syncthreads();
    }
  }

  /// Adds the diagonals whose distances are taken as the nearest of dbias.
  __device__ void add_ends(int column, int distances, float* dbias) const {
    if (threadIdx.x >= 32) return;
    float low = 0, high = 0;
    for (int d = int(threadIdx.x); d < queries + keys - 1; d += 32) {
      if (column + d <= 0)
        low += diagonals[d];
      else if (column + d >= distances - 1)
        high += diagonals[d];
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      low += __shfl_xor_sync(~0u, low, distance);
      high += __shfl_xor_sync(~0u, high, distance);
    }
    if (threadIdx.x > 0) return;
    dbias[0] += low;
    dbias[distances - 1] += high;
  }
};

}  // namespace lathe
