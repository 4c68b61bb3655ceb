#pragma once
// Attention over tiles with a running softmax (Dao 2023): a warp has 16 queries, a block 64, and walks the keys that
// any of them sees.

#include "lathe/ops/attention_intervals.cuh"
#include "lathe/ops/tensor_core.cuh"

namespace lathe {

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;
constexpr int kTileQueries = 64, kTileThreads = 128;

/// The keys that forward and dq kernels take at a time.
template <int dim>
constexpr int kTileKeys = dim <= 128 ? 64 : 32;

/// Shared memory of the forward kernel: queries, then keys and values twice, then what each query sees.
template <int dim>
struct ForwardShared {
  static constexpr int kKeys = kTileKeys<dim>;
  static constexpr int kStage = SharedRows<dim>::values(kKeys);
  static constexpr int kBytes =
      (SharedRows<dim>::values(kTileQueries) + 4 * kStage) * int(sizeof(bf16)) + kTileQueries * int(sizeof(SeenKeys));
  __device__ explicit ForwardShared(void* memory)
      : q(static_cast<bf16*>(memory)),
        k(q + SharedRows<dim>::values(kTileQueries)),
        v(k + 2 * kStage),
        rows(reinterpret_cast<SeenKeys*>(v + 2 * kStage)) {}
  bf16 *q, *k, *v;
  SeenKeys* rows;
};

/// Running maximum (of scores in units of log 2) and this lane's part of the sum, for a lane's two rows.
struct RunningSoftmax {
  float highest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};

  /// Turns scores into weights, and gives in `kept` what earlier sums are to be multiplied by.
  template <int blocks>
  __device__ void add(float (&scores)[blocks][4], float (&kept)[2]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = highest[half];
#pragma unroll
      for (int i = 0; i < blocks; ++i) most = fmaxf(most, fmaxf(scores[i][2 * half], scores[i][2 * half + 1]));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
      float base = most == -INFINITY ? 0 : most;
      kept[half] = exp2_of(highest[half] - base);
      highest[half] = most;
      total[half] *= kept[half];
#pragma unroll
      for (int i = 0; i < blocks; ++i)
#pragma unroll
        for (int c = 2 * half; c < 2 * half + 2; ++c) {
          scores[i][c] = exp2_of(scores[i][c] - base);
          total[half] += scores[i][c];
        }
    }
  }
  /// The sums of whole rows, in all of their lanes.
  __device__ void finish() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      total[half] += __shfl_xor_sync(~0u, total[half], 1);
      total[half] += __shfl_xor_sync(~0u, total[half], 2);
    }
  }
  __device__ float logsumexp(int half) const {
    return total[half] > 0 ? highest[half] * kLn2 + logf(total[half]) : -INFINITY;
  }
};

/// Dot products of a lane's rows `seen` with keys from `key` on become scores in units of log 2, -inf where unseen.
template <bool shaped, int blocks>
__device__ void shape_scores(const AttentionView<bf16>& in, const SeenKeys (&seen)[2], int head, int key, bool all_seen,
                             float (&scores)[blocks][4]) {
  int column = key + 2 * (int(threadIdx.x) % 4);
#pragma unroll
  for (int i = 0; i < blocks; ++i)
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const SeenKeys& row = seen[c / 2];
      int at = column + 8 * i + c % 2;
      float slope;
      float score =
          shaped ? in.score(scores[i][c], head, at - row.self, slope) * kLog2E : scores[i][c] * (in.scale * kLog2E);
      scores[i][c] = all_seen || (at >= row.first && at < row.last) ? score : -INFINITY;
    }
}

/// Grid [query tiles, heads], kTileThreads threads. `shaped`: with soft cap or bias.
template <int dim, bool shaped>
__global__ void __launch_bounds__(kTileThreads)
    attention_forward_tiles(AttentionView<bf16> in, bf16* out, float* logsumexp) {
  constexpr int keys = kTileKeys<dim>;
  extern __shared__ uint4 shared_memory[];
  ForwardShared<dim> shared(shared_memory);
  int tile = int(gridDim.x - 1 - blockIdx.x), head = int(blockIdx.y), first_query = tile * kTileQueries;
  int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const bf16* k = in.k + head / in.group * dim;
  const bf16* v = in.v + head / in.group * dim;
  SeenByTile hull = in.intervals.tiles[tile];
  auto fetch = [&](int key, int stage) {
    int64_t from = key * in.key_row;
    copy_rows_async<dim, keys, kTileThreads>(k + from, in.key_row, hull.last - key, shared.k + stage * shared.kStage);
    copy_rows_async<dim, keys, kTileThreads>(v + from, in.key_row, hull.last - key, shared.v + stage * shared.kStage);
    copy_async_commit();
  };
  copy_rows_async<dim, kTileQueries, kTileThreads>(in.q + first_query * in.query_row + head * dim, in.query_row,
                                                   in.tokens - first_query, shared.q);
  copy_async_commit();
  if (threadIdx.x < kTileQueries) shared.rows[threadIdx.x] = in.intervals.rows[first_query + int(threadIdx.x)];
  SeenKeys seen[2];
  for (int half = 0; half < 2; ++half) seen[half] = in.intervals.rows[first_query + warp * 16 + lane / 4 + 8 * half];
  RunningSoftmax softmax;
  float sums[dim / 8][4] = {};
  int key = hull.first;
  if (key < hull.last) fetch(key, 0);
  for (int stage = 0; key < hull.last; stage ^= 1) {
    copy_async_wait<0>();
    __syncthreads();
    int next = in.gaps ? next_seen(shared.rows, kTileQueries, key + keys) : key + keys;
    if (next < hull.last) fetch(next, stage ^ 1);
    float scores[keys / 8][4] = {}, kept[2];
    multiply_rows<dim, keys>(shared.q + warp * 16 * SharedRows<dim>::kStride, shared.k + stage * shared.kStage, scores);
    shape_scores<shaped>(in, seen, head, key, hull.all_first <= key && key + keys <= hull.all_last, scores);
    softmax.add(scores, kept);
#pragma unroll
    for (int i = 0; i < dim / 8; ++i)
#pragma unroll
      for (int c = 0; c < 4; ++c) sums[i][c] *= kept[c / 2];
    multiply_weights<dim, keys, dim>(scores, shared.v + stage * shared.kStage, sums);
    key = next;
  }
  copy_async_wait<0>();
  softmax.finish();
  for (int half = 0; half < 2; ++half) {
    int query = first_query + warp * 16 + lane / 4 + 8 * half;
    if (query >= in.tokens) continue;
    float share = softmax.total[half] > 0 ? 1 / softmax.total[half] : 0;
    bf16* row = out + (int64_t(query) * in.heads + head) * dim + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < dim / 8; ++i)
      *reinterpret_cast<unsigned*>(row + 8 * i) = packed_pair(sums[i][2 * half] * share, sums[i][2 * half + 1] * share);
    if (logsumexp && lane % 4 == 0) logsumexp[int64_t(head) * in.tokens + query] = softmax.logsumexp(half);
  }
}

}  // namespace lathe
