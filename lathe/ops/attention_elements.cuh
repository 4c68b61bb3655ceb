#pragma once
// Attention without tensor cores: f32, and head sizes that have no tiles of their own. Products are sums of f32 over
// shared memory; extents of the tiles are chosen at the launch so that they fit there.

#include "lathe/ops/attention_backward.cuh"

namespace lathe {

constexpr int kElementThreads = 256;

/// How many queries and keys a block takes at a time.
struct ElementTile {
  int queries, keys;
};

/// Matrices of `columns` floats a row in shared memory, one element more so that columns spread over the banks.
struct FloatRows {
  float* values;
  int stride;
  __device__ float& at(int row, int column) const { return values[row * stride + column]; }
};

/// Takes matrices from a block's shared memory, one after the other.
struct SharedFloats {
  float* next;
  __device__ FloatRows take(int rows, int columns) {
    FloatRows taken{next, columns + 1};
    next += rows * (columns + 1);
    return taken;
  }
};

template <class T>
__device__ void load_floats(const T* from, int64_t row, int rows, int columns, int limit, FloatRows to) {
  for (int i = int(threadIdx.x); i < rows * columns; i += int(blockDim.x)) {
    int r = i / columns, c = i % columns;
    to.at(r, c) = r < limit ? to_float(from[r * row + c]) : 0;
  }
}

template <class T>
__device__ void store_floats(FloatRows from, float scale, int64_t row, int rows, int columns, int limit, T* to) {
  for (int i = int(threadIdx.x); i < min(rows, limit) * columns; i += int(blockDim.x))
    to[i / columns * row + i % columns] = from_float<T>(from.at(i / columns, i % columns) * scale);
}

__device__ inline void fill_floats(FloatRows to, int rows, int columns) {
  for (int i = int(threadIdx.x); i < rows * columns; i += int(blockDim.x)) to.at(i / columns, i % columns) = 0;
}

__device__ inline float dot_of_rows(FloatRows a, int i, FloatRows b, int j, int dim) {
  float sum = 0;
  for (int d = 0; d < dim; ++d) sum += a.at(i, d) * b.at(j, d);
  return sum;
}

/// The hull of what `count` queries see; whole warps call.
__device__ inline int2 hull_of(const SeenKeys* rows, int count) {
  int first = 0x7fffffff, last = 0;
  for (int i = 0; i < count; ++i)
    if (rows[i].first < rows[i].last) first = min(first, rows[i].first), last = max(last, rows[i].last);
  return last > 0 ? int2{first, last} : int2{0, 0};
}

/// The keys' values of one tile: scores become weights relative to the highest so far. A warp has whole rows.
__device__ inline void soften_rows(FloatRows scores, ElementTile tile, float* highest, float* total, float* kept) {
  int lane = int(threadIdx.x) % 32;
  for (int i = int(threadIdx.x) / 32; i < tile.queries; i += int(blockDim.x) / 32) {
    float score = lane < tile.keys ? scores.at(i, lane) : -INFINITY, most = fmaxf(score, highest[i]);
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, distance));
    float base = most == -INFINITY ? 0 : most, weight = expf(score - base), sum = weight;
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
    if (lane < tile.keys) scores.at(i, lane) = weight;
    if (lane == 0) {
      kept[i] = expf(highest[i] - base);
      total[i] = total[i] * kept[i] + sum;
      highest[i] = most;
    }
  }
}

/// Grid [tiles of queries, heads], kElementThreads; at most 32 keys a tile.
template <class T>
__global__ void attention_forward_elements(AttentionView<T> in, ElementTile tile, T* out, float* logsumexp) {
  extern __shared__ uint4 shared_memory[];
  SharedFloats shared{reinterpret_cast<float*>(shared_memory)};
  FloatRows q = shared.take(tile.queries, in.dim), sums = shared.take(tile.queries, in.dim);
  FloatRows kv = shared.take(tile.keys, in.dim), scores = shared.take(tile.queries, tile.keys);
  float *highest = shared.next, *total = highest + tile.queries, *kept = total + tile.queries;
  int first_query = int(blockIdx.x) * tile.queries, head = int(blockIdx.y),
      queries = min(tile.queries, in.tokens - first_query);
  const SeenKeys* rows = in.intervals.rows + first_query;
  int2 hull = hull_of(rows, queries);
  load_floats(in.q + first_query * in.query_row + int64_t(head) * in.dim, in.query_row, tile.queries, in.dim, queries,
              q);
  fill_floats(sums, tile.queries, in.dim);
  for (int i = int(threadIdx.x); i < tile.queries; i += int(blockDim.x)) highest[i] = -INFINITY, total[i] = 0;
  for (int key = hull.x; key < hull.y; key = next_seen(rows, queries, key + tile.keys)) {
    int64_t from = key * in.key_row + int64_t(head / in.group) * in.dim;
    __syncthreads();
    load_floats(in.k + from, in.key_row, tile.keys, in.dim, hull.y - key, kv);
    __syncthreads();
    for (int e = int(threadIdx.x); e < tile.queries * tile.keys; e += int(blockDim.x)) {
      int i = e / tile.keys, j = e % tile.keys, at = key + j;
      float slope;
      bool sees = i < queries && at >= rows[i].first && at < rows[i].last;
      scores.at(i, j) = sees ? in.score(dot_of_rows(q, i, kv, j, in.dim), head, at - rows[i].self, slope) : -INFINITY;
    }
    __syncthreads();
    soften_rows(scores, tile, highest, total, kept);
    load_floats(in.v + from, in.key_row, tile.keys, in.dim, hull.y - key, kv);
    __syncthreads();
    for (int e = int(threadIdx.x); e < tile.queries * in.dim; e += int(blockDim.x)) {
      int i = e / in.dim, d = e % in.dim;
      float sum = sums.at(i, d) * kept[i];
      for (int j = 0; j < tile.keys; ++j) sum += scores.at(i, j) * kv.at(j, d);
      sums.at(i, d) = sum;
    }
  }
  __syncthreads();
  for (int e = int(threadIdx.x); e < queries * in.dim; e += int(blockDim.x)) {
    int i = e / in.dim, d = e % in.dim;
    out[(int64_t(first_query + i) * in.heads + head) * in.dim + d] =
        from_float<T>(total[i] > 0 ? sums.at(i, d) / total[i] : 0);
  }
  for (int i = int(threadIdx.x); logsumexp && i < queries; i += int(blockDim.x))
    logsumexp[int64_t(head) * in.tokens + first_query + i] = total[i] > 0 ? highest[i] + logf(total[i]) : -INFINITY;
}

/// A tile's weights and gradients of scores (`raw`) and of dot products (`gradients`, without the scale).
template <class T>
__device__ void element_gradients(const BackwardView<T>& view, ElementTile tile, int head, int first_query, int key,
                                  FloatRows q, FloatRows dout, FloatRows k, FloatRows v, FloatRows weights,
                                  FloatRows raw, FloatRows gradients) {
  const AttentionView<T>& in = view.in;
  for (int e = int(threadIdx.x); e < tile.queries * tile.keys; e += int(blockDim.x)) {
    int i = e / tile.keys, j = e % tile.keys, at = key + j;
    SeenKeys seen{};
    if (first_query + i < in.tokens) seen = in.intervals.rows[first_query + i];
    float weight = 0, gradient = 0, slope = 0;
    if (at >= seen.first && at < seen.last) {
      int64_t number = int64_t(head) * in.tokens + first_query + i;
      float score = in.score(dot_of_rows(q, i, k, j, in.dim), head, at - seen.self, slope);
      weight = expf(score - view.logsumexp[number]);
      gradient = weight * (dot_of_rows(dout, i, v, j, in.dim) - view.delta[number]);
    }
    weights.at(i, j) = weight;
    raw.at(i, j) = gradient;
    gradients.at(i, j) = gradient * slope;
  }
}

/// dq, and dbias if bias_parts is not null; blocks take every gridDim.x-th tile. Grid [tiles or parts, heads].
template <class T>
__global__ void attention_query_gradients_elements(BackwardView<T> view, ElementTile tile, int tiles,
                                                   float* bias_parts) {
  extern __shared__ uint4 shared_memory[];
  const AttentionView<T>& in = view.in;
  SharedFloats shared{reinterpret_cast<float*>(shared_memory)};
  FloatRows q = shared.take(tile.queries, in.dim), dout = shared.take(tile.queries, in.dim),
            dq = shared.take(tile.queries, in.dim);
  FloatRows k = shared.take(tile.keys, in.dim), v = shared.take(tile.keys, in.dim);
  FloatRows weights = shared.take(tile.queries, tile.keys), gradients = shared.take(tile.queries, tile.keys);
  BiasTile bias(shared.next, tile.queries, tile.keys);
  int head = int(blockIdx.y);
  float* dbias = bias_parts ? bias_parts + (int64_t(blockIdx.x) * in.heads + head) * in.distances : nullptr;
  if (dbias) clear_bias(dbias, in.distances);
  for (int turn = int(blockIdx.x); turn < tiles; turn += int(gridDim.x)) {
    int first_query = turn * tile.queries, queries = min(tile.queries, in.tokens - first_query);
    const SeenKeys* rows = in.intervals.rows + first_query;
    int2 hull = hull_of(rows, queries);
    int64_t at = first_query * in.query_row + int64_t(head) * in.dim, row = int64_t(in.heads) * in.dim;
    __syncthreads();
    load_floats(in.q + at, in.query_row, tile.queries, in.dim, queries, q);
    load_floats(view.dout + first_query * row + int64_t(head) * in.dim, row, tile.queries, in.dim, queries, dout);
    fill_floats(dq, tile.queries, in.dim);
    for (int key = hull.x; key < hull.y; key += tile.keys) {
      int64_t from = key * in.key_row + int64_t(head / in.group) * in.dim;
      __syncthreads();
      load_floats(in.k + from, in.key_row, tile.keys, in.dim, hull.y - key, k);
      load_floats(in.v + from, in.key_row, tile.keys, in.dim, hull.y - key, v);
      __syncthreads();
      element_gradients(view, tile, head, first_query, key, q, dout, k, v, weights, FloatRows{bias.values, bias.stride},
                        gradients);
      __syncthreads();
      for (int e = int(threadIdx.x); e < tile.queries * in.dim; e += int(blockDim.x)) {
        float& sum = dq.at(e / in.dim, e % in.dim);
        for (int j = 0; j < tile.keys; ++j) sum += gradients.at(e / in.dim, j) * k.at(j, e % in.dim);
      }
      if (dbias) bias.add_to(in, rows, key, dbias);
    }
    __syncthreads();
    store_floats(dq, in.scale, in.query_row, tile.queries, in.dim, queries, view.dq + at);
  }
}

/// dk and dv. Grid [tiles of keys, kv heads]; tile.keys divides kIntervalTile.
template <class T>
__global__ void attention_key_gradients_elements(BackwardView<T> view, ElementTile tile) {
  extern __shared__ uint4 shared_memory[];
  const AttentionView<T>& in = view.in;
  SharedFloats shared{reinterpret_cast<float*>(shared_memory)};
  FloatRows k = shared.take(tile.keys, in.dim), v = shared.take(tile.keys, in.dim), dk = shared.take(tile.keys, in.dim);
  FloatRows dv = shared.take(tile.keys, in.dim), q = shared.take(tile.queries, in.dim),
            dout = shared.take(tile.queries, in.dim);
  FloatRows weights = shared.take(tile.queries, tile.keys), gradients = shared.take(tile.queries, tile.keys),
            raw = shared.take(tile.queries, tile.keys);
  int key = int(blockIdx.x) * tile.keys, kv_head = int(blockIdx.y), keys = in.memory_tokens - key;
  int64_t from = key * in.key_row + int64_t(kv_head) * in.dim, row = int64_t(in.heads) * in.dim;
  load_floats(in.k + from, in.key_row, tile.keys, in.dim, keys, k);
  load_floats(in.v + from, in.key_row, tile.keys, in.dim, keys, v);
  fill_floats(dk, tile.keys, in.dim);
  fill_floats(dv, tile.keys, in.dim);
  SeeingQueries walk = in.intervals.keys[key / kIntervalTile];
  for (int head = kv_head * in.group; head < (kv_head + 1) * in.group; ++head)
    for (int query = walk.first; query < walk.last; query += tile.queries) {
      __syncthreads();
      load_floats(in.q + query * in.query_row + int64_t(head) * in.dim, in.query_row, tile.queries, in.dim,
                  in.tokens - query, q);
      load_floats(view.dout + query * row + int64_t(head) * in.dim, row, tile.queries, in.dim, in.tokens - query, dout);
      __syncthreads();
      element_gradients(view, tile, head, query, key, q, dout, k, v, weights, raw, gradients);
      __syncthreads();
      for (int e = int(threadIdx.x); e < tile.keys * in.dim; e += int(blockDim.x)) {
        int j = e / in.dim, d = e % in.dim;
        float value_sum = dv.at(j, d), key_sum = dk.at(j, d);
        for (int i = 0; i < tile.queries; ++i) {
          value_sum += weights.at(i, j) * dout.at(i, d);
          key_sum += gradients.at(i, j) * q.at(i, d);
        }
        dv.at(j, d) = value_sum, dk.at(j, d) = key_sum;
      }
    }
  __syncthreads();
  store_floats(dk, in.scale, in.key_row, tile.keys, in.dim, keys, view.dk + from);
  store_floats(dv, 1, in.key_row, tile.keys, in.dim, keys, view.dv + from);
}

}  // namespace lathe
