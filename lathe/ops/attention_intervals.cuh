#pragma once
// Interval attention: what a query sees is one run of rows of kv, whatever packing, windows and causality there are.
// The kernels walk tiles of keys from the first to the last row that a tile of queries sees, and compare each row's own
// run only where a tile of keys is not inside all of them. So launch shapes follow from the number of tokens alone.

#include "lathe/ops/attention_kernels.h"
#include "lathe/ops/attention_workspace.h"
#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {

/// What one query sees: rows [first, last) of kv, none where they are equal. `self` is the row of its own position.
struct alignas(16) SeenKeys {
  int first, last, self, unused;
};

/// Of kIntervalTile queries: all that any sees lies in [first, last); every one sees [all_first, all_last), if rising.
struct alignas(16) SeenByTile {
  int first, last, all_first, all_last;
};

/// Queries [first, last) hold all that see any of kIntervalTile keys.
struct alignas(8) SeeingQueries {
  int first, last;
};

/// Device arrays; the rows of the last tile of queries that are no queries see nothing.
struct Intervals {
  SeenKeys* rows;       ///< [query tiles * kIntervalTile]
  SeenByTile* tiles;    ///< [query tiles]
  SeeingQueries* keys;  ///< [key tiles], or null
  int* taken;           ///< pieces of work that a kernel's blocks have taken; 0 at first
};

/// What decides who sees whom, on the device.
struct SequenceLayout {
  const int *query_offsets, *memory_offsets, *memory_lengths;  ///< as in AttentionInput
  int sequences, tokens, memory_tokens, window;                ///< window 0: none
  bool causal;

  __device__ int keys_of(int n) const {
    return memory_lengths ? memory_lengths[n] : memory_offsets[n + 1] - memory_offsets[n];
  }
  __device__ int queries_of(int n) const { return query_offsets[n + 1] - query_offsets[n]; }
};
SequenceLayout layout_of(const AttentionInput& in);

/// Computes the intervals of `in` into the beginning of `workspace` (interval_floats of it).
Intervals find_intervals(const AttentionInput& in, Tensor& workspace);

/// The first row from `key` on that any of `count` queries sees; INT_MAX if none. Called by whole warps.
__device__ inline int next_seen(const SeenKeys* rows, int count, int key) {
  int nearest = 0x7fffffff;
  for (int i = int(threadIdx.x) % 32; i < count; i += 32)
    if (rows[i].last > key) nearest = min(nearest, max(rows[i].first, key));
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) nearest = min(nearest, __shfl_xor_sync(~0u, nearest, distance));
  return nearest;
}

/// Tensors of one attention call as kernels take them.
template <class T>
struct AttentionView {
  const T *q, *k, *v;                       ///< the first head of each
  int64_t query_row, key_row;               ///< elements from one token to the next
  int tokens, memory_tokens, heads, group;  ///< group: query heads a key head
  int dim;
  Intervals intervals;
  bool gaps;  ///< what neighbouring queries see may lie far apart, as in a cache
  float scale, softcap;
  const float* bias;  ///< or null
  int distances, bias_zero;

  /// A bias column's number for a key `distance` rows after the query's own position.
  __device__ int bias_column(int distance) const { return min(max(distance + bias_zero, 0), distances - 1); }
  /// The score of a dot product; `slope` is what the soft cap leaves of a gradient.
  __device__ float score(float dot, int head, int distance, float& slope) const {
    float plain = dot * scale;
    slope = 1;
    if (softcap > 0) {
      float bent = tanhf(plain / softcap);
      plain = softcap * bent;
      slope = 1 - bent * bent;
    }
    return bias ? plain + bias[int64_t(head) * distances + bias_column(distance)] : plain;
  }
};

template <class T>
AttentionView<T> view_of(const AttentionInput& in, const Intervals& intervals) {
  AttentionRows rows(in);
  const AttentionSpec& spec = in.spec;
  const T* kv = on_device<const T>(in.kv);
  AttentionView<T> view{};
  view.q = on_device<const T>(in.q);
  view.k = kv + rows.first_key, view.v = kv + rows.first_value;
  view.query_row = rows.queries, view.key_row = rows.keys;
  view.tokens = int(in.q.shape()[0]), view.memory_tokens = int(in.kv.shape()[0]);
  view.heads = int(spec.heads), view.group = int(spec.heads / spec.kv_heads), view.dim = int(spec.head_dim);
  view.intervals = intervals, view.gaps = bool(in.memory_lengths);
  view.scale = spec.scale, view.softcap = spec.softcap, view.bias = on_device<const float>(spec.bias);
  view.distances = spec.bias ? int(spec.bias.shape()[1]) : 0, view.bias_zero = int(spec.bias_zero);
  return view;
}

}  // namespace lathe
