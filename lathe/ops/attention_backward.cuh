#pragma once
// Backward over tiles: one kernel walks queries for each tile of keys (dk, dv), another keys for each tile of queries
// (dq, dbias). Scores are computed in both, so that nothing is added by two blocks: no atomics, the same bits every
// time.

#include "lathe/ops/attention_bias.cuh"
#include "lathe/ops/attention_forward.cuh"

namespace lathe {

/// What backward reads besides the inputs; delta is the sum over a head of dout * out.
template <class T>
struct BackwardView {
  AttentionView<T> in;
  const T* dout;                   ///< [tokens, heads * dim]
  const float *logsumexp, *delta;  ///< [heads, tokens]
  T *dq, *dk, *dv;                 ///< laid out as q, k and v
};

/// `lanes` neighbouring threads, a power of two up to 32, for each token and head; each takes `size` values at a time.
template <int size, class T>
__global__ void delta_kernel(const T* out, const T* dout, int lanes, int tokens, int heads, int dim, float* delta) {
  int64_t row = (blockIdx.x * int64_t(blockDim.x) + threadIdx.x) / lanes;
  int lane = int(threadIdx.x) % lanes;
  bool inside = row < int64_t(tokens) * heads;
  float sum = 0;
  for (int d = lane * size; inside && d < dim; d += lanes * size) {
    float one[size], other[size];
    load(out + row * dim + d, one);
    load(dout + row * dim + d, other);
#pragma unroll
    for (int i = 0; i < size; ++i) sum += one[i] * other[i];
  }
  for (int distance = lanes / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
  if (inside && lane == 0) delta[row % heads * tokens + row / heads] = sum;
}

/// The weight that a dot product had, and the gradient of its score; `slope` leads on to the dot product.
template <bool shaped, class T>
__device__ float weight_again(const AttentionView<T>& in, float dot, int head, int distance, float logsumexp,
                              float& slope) {
  slope = 1;
  if constexpr (shaped) return exp2_of((in.score(dot, head, distance, slope) - logsumexp) * kLog2E);
  return exp2_of(dot * (in.scale * kLog2E) - logsumexp * kLog2E);
}

/// Queries that the dk, dv kernel takes at a time, and the columns of dk and dv that a warp has: four warps share the
/// keys, further ones the columns.
template <int dim>
constexpr int kWalkedQueries = dim <= 128 ? 64 : 32;
template <int dim>
constexpr int kWarpColumns = dim <= 128 ? dim : dim / 2;
template <int dim>
constexpr int kKeyThreads = kTileThreads* dim / kWarpColumns<dim>;
constexpr int kKeyTileRows = 64;

/// Shared memory of the dk, dv kernel: keys and values, then queries, dout and what goes with each query, twice.
template <int dim>
struct KeySideShared {
  static constexpr int kQueries = kWalkedQueries<dim>;
  static constexpr int kKeyValues = SharedRows<dim>::values(kKeyTileRows), kStage = SharedRows<dim>::values(kQueries);
  static constexpr int kBytes =
      (2 * kKeyValues + 4 * kStage) * int(sizeof(bf16)) + 2 * kQueries * int(sizeof(SeenKeys) + 2 * sizeof(float));
  __device__ explicit KeySideShared(void* memory)
      : k(static_cast<bf16*>(memory)),
        v(k + kKeyValues),
        q(v + kKeyValues),
        dout(q + 2 * kStage),
        rows(reinterpret_cast<SeenKeys*>(dout + 2 * kStage)),
        logsumexp(reinterpret_cast<float*>(rows + 2 * kQueries)),
        delta(logsumexp + 2 * kQueries) {}

  /// Begins to copy queries [query, query + kQueries) of a head.
  __device__ void fetch(const BackwardView<bf16>& view, int head, int query, int stage) {
    constexpr int threads = kKeyThreads<dim>;
    const AttentionView<bf16>& in = view.in;
    int left = in.tokens - query, i = int(threadIdx.x);
    copy_rows_async<dim, kQueries, threads>(in.q + query * in.query_row + head * dim, in.query_row, left,
                                            q + stage * kStage);
    copy_rows_async<dim, kQueries, threads>(view.dout + (int64_t(query) * in.heads + head) * dim,
                                            int64_t(in.heads) * dim, left, dout + stage * kStage);
    if (i < kQueries) {
      int64_t from = int64_t(head) * in.tokens + (i < left ? query + i : 0);
      copy_async_16(rows + stage * kQueries + i, in.intervals.rows + query + i, true);
      copy_async_4(logsumexp + stage * kQueries + i, view.logsumexp + from, i < left);
      copy_async_4(delta + stage * kQueries + i, view.delta + from, i < left);
    }
    copy_async_commit();
  }

  bf16 *k, *v, *q, *dout;
  SeenKeys* rows;
  float *logsumexp, *delta;
};

/// Dot products of keys (rows, from `key` on for this lane) and queries become weights, those of values and dout
/// gradients of the dot products without the scale.
template <int dim, bool shaped, int blocks>
__device__ void key_side_gradients(const AttentionView<bf16>& in, const KeySideShared<dim>& shared, int stage, int head,
                                   int key, bool all_seen, float (&weights)[blocks][4], float (&gradients)[blocks][4]) {
  int column = stage * shared.kQueries + 2 * (int(threadIdx.x) % 4);
#pragma unroll
  for (int i = 0; i < blocks; ++i)
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      int at = column + 8 * i + c % 2, row = key + 8 * (c / 2);
      SeenKeys seen{};
      if (shaped || !all_seen) seen = shared.rows[at];
      float slope, weight = weight_again<shaped>(in, weights[i][c], head, row - seen.self, shared.logsumexp[at], slope);
      if (!all_seen && (row < seen.first || row >= seen.last)) weight = 0;
      weights[i][c] = weight;
      gradients[i][c] = weight == 0 ? 0 : weight * (gradients[i][c] - shared.delta[at]) * slope;
    }
}

/// Writes a lane's part of [16, columns] sums, times `scale`, to rows `row` elements apart, below `limit`.
template <int columns>
__device__ void store_sums(const float (&sums)[columns / 8][4], float scale, int limit, int64_t row, bf16* to) {
  int lane = int(threadIdx.x) % 32;
  for (int half = 0; half < 2; ++half) {
    int r = lane / 4 + 8 * half;
    if (r >= limit) continue;
    bf16* at = to + r * row + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < columns / 8; ++i)
      *reinterpret_cast<unsigned*>(at + 8 * i) = packed_pair(sums[i][2 * half] * scale, sums[i][2 * half + 1] * scale);
  }
}

/// dk and dv. Grid [key tiles, kv heads], kKeyThreads.
template <int dim, bool shaped>
__global__ void __launch_bounds__(kKeyThreads<dim>) attention_key_gradients(BackwardView<bf16> view) {
  constexpr int queries = kWalkedQueries<dim>, columns = kWarpColumns<dim>, stride = SharedRows<dim>::kStride;
  extern __shared__ uint4 shared_memory[];
  KeySideShared<dim> shared(shared_memory);
  const AttentionView<bf16>& in = view.in;
  int kv_head = int(blockIdx.y), first_key = int(blockIdx.x) * kKeyTileRows;
  int warp = int(threadIdx.x) / 32 % 4, column = int(threadIdx.x) / kTileThreads * columns;
  int64_t from = first_key * in.key_row + kv_head * dim;
  copy_rows_async<dim, kKeyTileRows, kKeyThreads<dim>>(in.k + from, in.key_row, in.memory_tokens - first_key, shared.k);
  copy_rows_async<dim, kKeyTileRows, kKeyThreads<dim>>(in.v + from, in.key_row, in.memory_tokens - first_key, shared.v);
  copy_async_commit();
  SeeingQueries walk = in.intervals.keys[blockIdx.x];
  int first = walk.first / queries * queries, steps = (walk.last - first + queries - 1) / queries;
  steps = walk.first < walk.last ? steps : 0;
  int first_head = kv_head * in.group;
  if (steps > 0) shared.fetch(view, first_head, first, 0);
  float dk[columns / 8][4] = {}, dv[columns / 8][4] = {};
  for (int step = 0; step < steps * in.group; ++step) {
    int stage = step % 2, head = first_head + step / steps, query = first + step % steps * queries;
    copy_async_wait<0>();
    __syncthreads();
    if (step + 1 < steps * in.group)
      shared.fetch(view, first_head + (step + 1) / steps, first + (step + 1) % steps * queries, stage ^ 1);
    const bf16 *q = shared.q + stage * shared.kStage, *dout = shared.dout + stage * shared.kStage;
    SeenByTile tile = in.intervals.tiles[query / kIntervalTile];
    bool all_seen = tile.all_first <= first_key && first_key + kKeyTileRows <= tile.all_last;
    float weights[queries / 8][4] = {}, gradients[queries / 8][4] = {};
    multiply_rows<dim, queries>(shared.k + warp * 16 * stride, q, weights);
    multiply_rows<dim, queries>(shared.v + warp * 16 * stride, dout, gradients);
    key_side_gradients<dim, shaped>(in, shared, stage, head, first_key + warp * 16 + int(threadIdx.x) % 32 / 4,
                                    all_seen, weights, gradients);
    multiply_weights<dim, queries, columns>(weights, dout + column, dv);
    multiply_weights<dim, queries, columns>(gradients, q + column, dk);
  }
  copy_async_wait<0>();
  from += warp * 16 * in.key_row + column;
  int limit = in.memory_tokens - first_key - warp * 16;
  store_sums<columns>(dk, in.scale, limit, in.key_row, view.dk + from);
  store_sums<columns>(dv, 1, limit, in.key_row, view.dv + from);
}

/// Shared memory of the dq kernel: queries and dout, then keys and values twice, then what each query sees; for dbias
/// also the gradients of scores.
template <int dim>
struct QuerySideShared {
  static constexpr int kKeys = kTileKeys<dim>, kQueryValues = SharedRows<dim>::values(kTileQueries);
  static constexpr int kStage = SharedRows<dim>::values(kKeys);
  static constexpr int kBytes =
      (2 * kQueryValues + 4 * kStage) * int(sizeof(bf16)) + kTileQueries * int(sizeof(SeenKeys));
  static constexpr int kBiasBytes = kBytes + BiasTile::bytes(kTileQueries, kKeys);
  __device__ explicit QuerySideShared(void* memory)
      : q(static_cast<bf16*>(memory)),
        dout(q + kQueryValues),
        k(dout + kQueryValues),
        v(k + 2 * kStage),
        rows(reinterpret_cast<SeenKeys*>(v + 2 * kStage)),
        bias(rows + kTileQueries, kTileQueries, kKeys) {}
  bf16 *q, *dout, *k, *v;
  SeenKeys* rows;
  BiasTile bias;
};

/// Dot products of queries and keys, and of dout and values, become gradients of the dot products without the scale, in
/// `gradients`; those of scores in `scores`.
template <bool shaped, int blocks>
__device__ void query_side_gradients(const AttentionView<bf16>& in, const SeenKeys (&seen)[2],
                                     const float (&logsumexp)[2], const float (&delta)[2], int head, int key,
                                     bool all_seen, float (&scores)[blocks][4], float (&gradients)[blocks][4]) {
  int column = key + 2 * (int(threadIdx.x) % 4);
#pragma unroll
  for (int i = 0; i < blocks; ++i)
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const SeenKeys& row = seen[c / 2];
      int at = column + 8 * i + c % 2;
      float slope, weight = weight_again<shaped>(in, scores[i][c], head, at - row.self, logsumexp[c / 2], slope);
      if (!all_seen && (at < row.first || at >= row.last)) weight = 0;
      scores[i][c] = weight == 0 ? 0 : weight * (gradients[i][c] - delta[c / 2]);
      gradients[i][c] = scores[i][c] * slope;
    }
}

/// dq, and dbias if `biased`: then a block takes every gridDim.x-th tile and sums over all of them.
/// Grid [query tiles or bias parts, heads], kTileThreads.
template <int dim, bool shaped, bool biased>
__global__ void __launch_bounds__(kTileThreads)
    attention_query_gradients(BackwardView<bf16> view, int tiles, float* bias_parts) {
  constexpr int keys = kTileKeys<dim>, stride = SharedRows<dim>::kStride;
  extern __shared__ uint4 shared_memory[];
  QuerySideShared<dim> shared(shared_memory);
  const AttentionView<bf16>& in = view.in;
  int head = int(blockIdx.y), warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const bf16 *k = in.k + head / in.group * dim, *v = in.v + head / in.group * dim;
  float* dbias = biased ? bias_parts + (int64_t(blockIdx.x) * in.heads + head) * in.distances : nullptr;
  if constexpr (biased) clear_bias(dbias, in.distances);
  for (int turn = int(blockIdx.x); turn < tiles; turn += int(gridDim.x)) {
    int tile = tiles - 1 - turn, first_query = tile * kTileQueries;
    SeenByTile hull = in.intervals.tiles[tile];
    auto fetch = [&](int key, int stage) {
      int64_t from = key * in.key_row;
      copy_rows_async<dim, keys, kTileThreads>(k + from, in.key_row, hull.last - key, shared.k + stage * shared.kStage);
      copy_rows_async<dim, keys, kTileThreads>(v + from, in.key_row, hull.last - key, shared.v + stage * shared.kStage);
      copy_async_commit();
    };
    __syncthreads();  // the last tile's readers are done
    copy_rows_async<dim, kTileQueries, kTileThreads>(in.q + first_query * in.query_row + head * dim, in.query_row,
                                                     in.tokens - first_query, shared.q);
    copy_rows_async<dim, kTileQueries, kTileThreads>(view.dout + (int64_t(first_query) * in.heads + head) * dim,
                                                     int64_t(in.heads) * dim, in.tokens - first_query, shared.dout);
    copy_async_commit();
    if (threadIdx.x < kTileQueries) shared.rows[threadIdx.x] = in.intervals.rows[first_query + int(threadIdx.x)];
    SeenKeys seen[2];
    float logsumexp[2], delta[2];
    for (int half = 0; half < 2; ++half) {
      int query = first_query + warp * 16 + lane / 4 + 8 * half;
      int64_t at = int64_t(head) * in.tokens + min(query, in.tokens - 1);
      seen[half] = in.intervals.rows[query], logsumexp[half] = view.logsumexp[at], delta[half] = view.delta[at];
    }
    float dq[dim / 8][4] = {};
    if (hull.first < hull.last) fetch(hull.first, 0);
    for (int key = hull.first, stage = 0; key < hull.last; key += keys, stage ^= 1) {
      copy_async_wait<0>();
      __syncthreads();
      if (key + keys < hull.last) fetch(key + keys, stage ^ 1);
      float scores[keys / 8][4] = {}, gradients[keys / 8][4] = {};
      multiply_rows<dim, keys>(shared.q + warp * 16 * stride, shared.k + stage * shared.kStage, scores);
      multiply_rows<dim, keys>(shared.dout + warp * 16 * stride, shared.v + stage * shared.kStage, gradients);
      query_side_gradients<shaped>(in, seen, logsumexp, delta, head, key,
                                   hull.all_first <= key && key + keys <= hull.all_last, scores, gradients);
      multiply_weights<dim, keys, dim>(gradients, shared.k + stage * shared.kStage, dq);
      if constexpr (biased) {
        shared.bias.put(scores, warp * 16 + lane / 4, 2 * (lane % 4));
        shared.bias.add_to(in, shared.rows, key, dbias);
      }
    }
    copy_async_wait<0>();
    int64_t to = (first_query + warp * 16) * in.query_row + head * dim;
    store_sums<dim>(dq, in.scale, in.tokens - first_query - warp * 16, in.query_row, view.dq + to);
  }
}

}  // namespace lathe
