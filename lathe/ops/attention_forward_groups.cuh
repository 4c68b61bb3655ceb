#pragma once
// Forward attention for warpgroups: products of the next tile run while the softmax of this one is computed, and the
// two groups of a block take turns at them (Shah et al. 2024).

#include "lathe/ops/attention_forward.cuh"
#include "lathe/ops/attention_groups.cuh"

namespace lathe {

/// Shared memory: queries, then `stages` times keys, and values, then barriers.
template <int dim>
struct GroupForwardShared {
  static constexpr int kKeys = 128, kStages = dim == 64 ? 4 : 2;
  using Queries = SwizzledRows<kGroupRows, dim>;
  using Keys = SwizzledRows<kKeys, dim>;
  static constexpr int kBarriers = 4 * kStages + 2;
  static constexpr int kBytes = 1024 + (Queries::kValues + 2 * kStages * Keys::kValues) * int(sizeof(bf16)) +
                                kBarriers * int(sizeof(uint64_t)) + int(sizeof(PieceBuffers));

  __device__ explicit GroupForwardShared(void* memory)
      : q(aligned_shared(memory)),
        k(q + Queries::kValues),
        v(k + kStages * Keys::kValues),
        k_full(reinterpret_cast<uint64_t*>(v + kStages * Keys::kValues)),
        k_empty(k_full + kStages),
        v_full(k_empty + kStages),
        v_empty(v_full + kStages),
        q_full(v_empty + kStages),
        q_empty(q_full + 1),
        pieces(reinterpret_cast<PieceBuffers*>(q_empty + 1)) {}

  /// By the whole block, once.
  __device__ void start() const {
    if (threadIdx.x == 0) Pieces{pieces, nullptr}.start();
    if (threadIdx.x == 0)
      for (int i = 0; i < kStages; ++i) {
        barrier_start(k_full + i, kCopyThreads), barrier_start(v_full + i, kCopyThreads);
        barrier_start(k_empty + i, kComputeWarps), barrier_start(v_empty + i, kComputeWarps);
      }
    if (threadIdx.x == 0) barrier_start(q_full, kCopyThreads), barrier_start(q_empty, kComputeWarps);
    __syncthreads();
  }
  bf16 *q, *k, *v;
  uint64_t *k_full, *k_empty, *v_full, *v_empty, *q_full, *q_empty;
  PieceBuffers* pieces;
};

/// The group that copies: two halves, which take tiles of keys in turns.
template <int dim>
__device__ void copy_for_forward(const AttentionView<bf16>& in, const GroupGrid& grid,
                                 const GroupForwardShared<dim>& shared) {
  using Shared = GroupForwardShared<dim>;
  int half = int(threadIdx.x) / kCopyThreads, thread = int(threadIdx.x) % kCopyThreads, used = 0, turn = 0;
  Pieces pieces{shared.pieces, in.intervals.taken};
  for (int piece; (piece = pieces.next_drawing(grid.pieces())) < grid.pieces();) {
    auto [tile, head] = grid.tile_and_head(piece);
    int2 hull = seen_by_group(in, tile);
    if (hull.x >= hull.y) continue;
    if (half == 0) {
      int query = tile * kGroupRows;
      Turn<1>(turn).wait_empty(shared.q_empty);
      Shared::Queries::template copy_async<kCopyThreads>(in.q + query * in.query_row + head * dim, in.query_row,
                                                         in.tokens - query, shared.q, thread);
      copy_async_commit();
      copy_async_wait<0>();
      show_to_products();
      barrier_arrive(shared.q_full);
    }
    ++turn;
    for (int key = hull.x; key < hull.y; key += Shared::kKeys, ++used) {
      if (used % 2 != half) continue;
      Turn<Shared::kStages> at(used);
      int64_t from = key * in.key_row + head / in.group * dim;
      at.wait_empty(shared.k_empty);
      Shared::Keys::template copy_async<kCopyThreads>(in.k + from, in.key_row, hull.y - key,
                                                      shared.k + at.buffer * Shared::Keys::kValues, thread);
      copy_async_commit();
      at.wait_empty(shared.v_empty);
      Shared::Keys::template copy_async<kCopyThreads>(in.v + from, in.key_row, hull.y - key,
                                                      shared.v + at.buffer * Shared::Keys::kValues, thread);
      copy_async_commit();
      copy_async_wait<1>();
      show_to_products();
      barrier_arrive(shared.k_full + at.buffer);
      copy_async_wait<0>();
      show_to_products();
      barrier_arrive(shared.v_full + at.buffer);
    }
  }
}

/// Running maximum of dot products, and this lane's part of the sum of weights, for a lane's two rows.
struct GroupSoftmax {
  float highest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};

  /// Turns dot products into weights; `scale` is in units of log 2. What earlier sums are to be multiplied by: `kept`.
  template <int blocks>
  __device__ void add(float (&scores)[blocks][4], float scale, float (&kept)[2]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = highest[half];
#pragma unroll
      for (int i = 0; i < blocks; ++i) most = fmaxf(most, fmaxf(scores[i][2 * half], scores[i][2 * half + 1]));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
      most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
      float base = most == -INFINITY ? 0 : most * scale, sum = 0;
      kept[half] = exp2_of(highest[half] * scale - base);
      highest[half] = most;
#pragma unroll
      for (int i = 0; i < blocks; ++i)
#pragma unroll
        for (int c = 2 * half; c < 2 * half + 2; ++c) {
          scores[i][c] = exp2_of(scores[i][c] * scale - base);
          sum += scores[i][c];
        }
      total[half] = total[half] * kept[half] + sum;
    }
  }
  __device__ void finish() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      total[half] += __shfl_xor_sync(~0u, total[half], 1);
      total[half] += __shfl_xor_sync(~0u, total[half], 2);
    }
  }
};

/// A group that computes: `group` 0 or 1.
template <int dim>
struct ForwardGroup {
  using Shared = GroupForwardShared<dim>;
  static constexpr int kKeys = Shared::kKeys;
  const AttentionView<bf16>& in;
  const Shared& shared;
  int group, lane = int(threadIdx.x) % 32, used = 0, turn = 0;
  float scale = in.scale * kLog2E;
  unsigned queries[dim / 16][4];
  float sums[dim / 8][4];
  GroupSoftmax softmax;

  __device__ void leave(uint64_t* barrier) const {
    if (lane == 0) barrier_arrive(barrier);
  }
  /// From shared memory, which is free for the next ones then.
  __device__ void take_queries() {
    Turn<1>(turn++).wait_full(shared.q_full);
    load_left<kGroupRows, dim>(shared.q, group * 64 + int(threadIdx.x) % 128 / 32 * 16 + lane / 4, queries);
    __syncwarp();
    leave(shared.q_empty);
  }
  __device__ const bf16* keys(int buffer) const { return shared.k + buffer * Shared::Keys::kValues; }
  __device__ const bf16* values(int buffer) const { return shared.v + buffer * Shared::Keys::kValues; }

  /// Dot products with the keys of `at`, begun but not awaited.
  __device__ void begin_scores(Turn<Shared::kStages> at, float (&scores)[kKeys / 8][4]) const {
    at.wait_full(shared.k_full);
    group_fence();
    group_multiply_rows<dim, kKeys>(queries, keys(at.buffer), scores);
  }
  __device__ void begin_sums(Turn<Shared::kStages> at, const unsigned (&weights)[kKeys / 16][4]) {
    at.wait_full(shared.v_full);
    group_fence();
    group_multiply_weights<dim, kKeys>(weights, values(at.buffer), sums);
  }

  /// All keys of `hull` for one tile of queries.
  __device__ void run(int2 hull, const SeenByTile& own, const SeenKeys (&seen)[2]) {
    float scores[kKeys / 8][4], kept[2];
    unsigned weights[kKeys / 16][4];
    take_queries();
    Turn<Shared::kStages> before(used++);
    begin_scores(before, scores);
    group_wait<0>();
    group_keep(scores);
    leave(shared.k_empty + before.buffer);
    int key = hull.x;
    if (!(own.all_first <= key && key + kKeys <= own.all_last)) hide_unseen(seen, key, scores);
    softmax.add(scores, scale, kept);
    pack_weights<kKeys>(scores, weights);
    for (key += kKeys; key < hull.y; key += kKeys) {
      Turn<Shared::kStages> at(used++);
      turn_wait(1 + group);
      begin_scores(at, scores);
      begin_sums(before, weights);
      turn_pass(2 - group);
      group_wait<1>();
      group_keep(scores);
      leave(shared.k_empty + at.buffer);
      if (!(own.all_first <= key && key + kKeys <= own.all_last)) hide_unseen(seen, key, scores);
      softmax.add(scores, scale, kept);
      group_wait<0>();
      group_keep(sums);
      leave(shared.v_empty + before.buffer);
#pragma unroll
      for (int i = 0; i < dim / 8; ++i)
#pragma unroll
        for (int c = 0; c < 4; ++c) sums[i][c] *= kept[c / 2];
      pack_weights<kKeys>(scores, weights);
      before = at;
    }
    begin_sums(before, weights);
    group_wait<0>();
    group_keep(sums);
    leave(shared.v_empty + before.buffer);
  }

  __device__ void store(int query, int head, bf16* out, float* logsumexp) {
    softmax.finish();
    for (int half = 0; half < 2; ++half, query += 8) {
      if (query >= in.tokens) continue;
      float total = softmax.total[half], share = total > 0 ? 1 / total : 0;
      bf16* row = out + (int64_t(query) * in.heads + head) * dim + 2 * (lane % 4);
#pragma unroll
      for (int i = 0; i < dim / 8; ++i)
        *reinterpret_cast<unsigned*>(row + 8 * i) =
            packed_pair(sums[i][2 * half] * share, sums[i][2 * half + 1] * share);
      if (logsumexp && lane % 4 == 0)
        logsumexp[int64_t(head) * in.tokens + query] =
            total > 0 ? softmax.highest[half] * in.scale + logf(total) : -INFINITY;
    }
  }

  __device__ void piece(int tile, int head, bf16* out, float* logsumexp) {
    int2 hull = seen_by_group(in, tile);
    SeenByTile own = seen_by_tile(in, 2 * tile + group);
    int query = tile * kGroupRows + group * 64 + int(threadIdx.x) % 128 / 32 * 16 + lane / 4;
    SeenKeys seen[2] = {};
    for (int half = 0; half < 2; ++half)
      if (query + 8 * half < in.tokens) seen[half] = in.intervals.rows[query + 8 * half];
#pragma unroll
    for (int i = 0; i < dim / 8; ++i)
#pragma unroll
      for (int c = 0; c < 4; ++c) sums[i][c] = 0;
    softmax = GroupSoftmax();
    if (hull.x < hull.y) run(hull, own, seen);
    store(query, head, out, logsumexp);
  }
};

/// Grid of as many blocks as run at a time, kGroupThreads. For positive scales, without soft cap, bias and gaps.
template <int dim>
__global__ void __launch_bounds__(kGroupThreads, 1)
    attention_forward_groups(AttentionView<bf16> in, GroupGrid grid, bf16* out, float* logsumexp) {
#ifndef LATHE_NO_GROUPS
  extern __shared__ uint4 shared_memory[];
  GroupForwardShared<dim> shared(shared_memory);
  shared.start();
  if (group_of_thread() == 0) {
    fewer_registers<kCopyRegisters<dim>>();
    copy_for_forward<dim>(in, grid, shared);
  } else {
    more_registers<kComputeRegisters<dim>>();
    ForwardGroup<dim> work{in, shared, group_of_thread() - 1};
    if (work.group == 1) turn_pass(1);
    Pieces pieces{shared.pieces, in.intervals.taken};
    for (int piece; (piece = pieces.next()) < grid.pieces();) {
      auto [tile, head] = grid.tile_and_head(piece);
      work.piece(tile, head, out, logsumexp);
    }
  }
#endif
}

}  // namespace lathe
