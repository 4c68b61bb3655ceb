#pragma once
// Backward attention for warpgroups: two kernels as in attention_backward.cuh, each with 128 rows that stay in shared
// memory (queries and dout, or keys and values) while tiles of 64 of the others go by.

#include "lathe/ops/attention_backward.cuh"
#include "lathe/ops/attention_groups.cuh"

namespace lathe {

/// Shared memory: two matrices that stay; `stages` times two that go by, and what goes with each query; barriers.
template <int dim>
struct GroupBackwardShared {
  static constexpr int kWalked = 64, kStages = dim == 64 ? 4 : 3;
  using Kept = SwizzledRows<kGroupRows, dim>;
  using Walked = SwizzledRows<kWalked, dim>;
  static constexpr int kQueryBytes = kWalked * int(sizeof(SeenKeys) + 2 * sizeof(float));
  static constexpr int kBytes = 1024 + (2 * Kept::kValues + 2 * kStages * Walked::kValues) * int(sizeof(bf16)) +
                                kStages * kQueryBytes + (3 * kStages + 2) * int(sizeof(uint64_t));

  __device__ explicit GroupBackwardShared(void* memory)
      : kept(aligned_shared(memory)),
        walked(kept + 2 * Kept::kValues),
        rows(reinterpret_cast<SeenKeys*>(walked + 2 * kStages * Walked::kValues)),
        logsumexp(reinterpret_cast<float*>(rows + kStages * kWalked)),
        delta(logsumexp + kStages * kWalked),
        one_full(reinterpret_cast<uint64_t*>(delta + kStages * kWalked)),
        other_full(one_full + kStages),
        empty(other_full + kStages),
        kept_full(empty + kStages),
        kept_empty(kept_full + 1) {}

  /// By the whole block, once.
  __device__ void start() const {
    if (threadIdx.x == 0)
      for (int i = 0; i < kStages; ++i) {
        barrier_start(one_full + i, kCopyThreads), barrier_start(other_full + i, kCopyThreads);
        barrier_start(empty + i, kComputeWarps);
      }
    if (threadIdx.x == 0) barrier_start(kept_full, kCopyThreads), barrier_start(kept_empty, kComputeWarps);
    __syncthreads();
  }
  __device__ bf16* kept_matrix(int which) const { return kept + which * Kept::kValues; }
  __device__ bf16* walked_matrix(int buffer, int which) const {
    return walked + (2 * buffer + which) * Walked::kValues;
  }

  bf16 *kept, *walked;
  SeenKeys* rows;
  float *logsumexp, *delta;
  uint64_t *one_full, *other_full, *empty, *kept_full, *kept_empty;
};

/// Two matrices of global memory with rows that lie alike.
struct RowPair {
  const bf16 *one, *other;
  int64_t one_row, other_row;
  int limit;  ///< rows there are

  __device__ RowPair from(int row, int64_t one_head, int64_t other_head) const {
    return {one + row * one_row + one_head, other + row * other_row + other_head, one_row, other_row, limit - row};
  }
};

template <class T>
__device__ RowPair queries_of(const BackwardView<T>& view) {
  const AttentionView<T>& in = view.in;
  return {in.q, view.dout, in.query_row, int64_t(in.heads) * in.dim, in.tokens};
}
template <class T>
__device__ RowPair keys_of(const BackwardView<T>& view) {
  return {view.in.k, view.in.v, view.in.key_row, view.in.key_row, view.in.memory_tokens};
}

/// One half of the group that copies; the halves take walked tiles in turns, the first one also what is kept.
template <int dim>
struct BackwardCopy {
  using Shared = GroupBackwardShared<dim>;
  const Shared& shared;
  int half = int(threadIdx.x) / kCopyThreads, thread = int(threadIdx.x) % kCopyThreads, used = 0, turn = 0;

  __device__ void keep(const RowPair& rows) {
    int now = turn++;
    if (half != 0) return;
    Turn<1>(now).wait_empty(shared.kept_empty);
    using Kept = typename Shared::Kept;
    Kept::template copy_async<kCopyThreads>(rows.one, rows.one_row, rows.limit, shared.kept_matrix(0), thread);
    Kept::template copy_async<kCopyThreads>(rows.other, rows.other_row, rows.limit, shared.kept_matrix(1), thread);
    copy_async_commit();
    copy_async_wait<0>();
    show_to_products();
    barrier_arrive(shared.kept_full);
  }

  /// `beside` begins to copy what goes with the rows to a buffer.
  template <class Beside>
  __device__ void walk(const RowPair& rows, Beside&& beside) {
    int now = used++;
    if (now % 2 != half) return;
    using Walked = typename Shared::Walked;
    Turn<Shared::kStages> at(now);
    at.wait_empty(shared.empty);
    Walked::template copy_async<kCopyThreads>(rows.one, rows.one_row, rows.limit, shared.walked_matrix(at.buffer, 0),
                                              thread);
    beside(at.buffer, thread);
    copy_async_commit();
    Walked::template copy_async<kCopyThreads>(rows.other, rows.other_row, rows.limit,
                                              shared.walked_matrix(at.buffer, 1), thread);
    copy_async_commit();
    copy_async_wait<1>();
    show_to_products();
    barrier_arrive(shared.one_full + at.buffer);
    copy_async_wait<0>();
    show_to_products();
    barrier_arrive(shared.other_full + at.buffer);
  }
};

/// A group that computes, 0 or 1: what both kernels do with a tile that goes by.
template <int dim>
struct BackwardGroup {
  using Shared = GroupBackwardShared<dim>;
  static constexpr int kWalked = Shared::kWalked;
  const BackwardView<bf16>& view;
  const Shared& shared;
  int group, lane = int(threadIdx.x) % 32, used = 0, turn = 0, before = -1;
  float scale = view.in.scale * kLog2E;

  __device__ int first_row() const { return group * 64 + int(threadIdx.x) % 128 / 32 * 16 + lane / 4; }
  __device__ void leave(uint64_t* barrier) const {
    if (lane == 0) barrier_arrive(barrier);
  }
  /// A tile that this group has nothing to do with.
  __device__ void pass() {
    let_go();
    Turn<Shared::kStages> at(used++);
    at.wait_full(shared.one_full);
    at.wait_full(shared.other_full);
    leave(shared.empty + at.buffer);
  }
  /// Products of both kept matrices with the next tile, the second still running. Those with the tile before, which
  /// read it and were begun last, are done.
  __device__ int products(float (&one)[kWalked / 8][4], float (&other)[kWalked / 8][4]) {
    Turn<Shared::kStages> at(used++);
    at.wait_full(shared.one_full);
    group_fence();
    group_multiply_rows<dim, kGroupRows, kWalked>(shared.kept_matrix(0) + group * 64 * 64,
                                                  shared.walked_matrix(at.buffer, 0), one);
    at.wait_full(shared.other_full);
    group_multiply_rows<dim, kGroupRows, kWalked>(shared.kept_matrix(1) + group * 64 * 64,
                                                  shared.walked_matrix(at.buffer, 1), other);
    group_wait<1>();
    group_keep(one);
    if (before >= 0) leave(shared.empty + before);
    before = at.buffer;
    return at.buffer;
  }
  /// Ends what is begun, and leaves the tile before: who copies may wait for it.
  __device__ void let_go() {
    group_wait<0>();
    if (before >= 0) leave(shared.empty + before);
    before = -1;
  }
  /// After the last tile.
  __device__ void finish() {
    let_go();
    leave(shared.kept_empty);
  }
};

/// dq of kGroupRows queries of a head.
template <int dim>
__device__ void query_gradients_of_group(BackwardGroup<dim>& work, int tile, int head) {
  constexpr int walked = BackwardGroup<dim>::kWalked;
  const BackwardView<bf16>& view = work.view;
  const AttentionView<bf16>& in = view.in;
  int2 hull = seen_by_group(in, tile);
  SeenByTile own = seen_by_tile(in, 2 * tile + work.group);
  int query = tile * kGroupRows + work.first_row();
  SeenKeys seen[2] = {};
  float logsumexp[2] = {}, delta[2] = {}, sums[dim / 8][4] = {};
  for (int half = 0; half < 2; ++half)
    if (query + 8 * half < in.tokens) {
      int64_t at = int64_t(head) * in.tokens + query + 8 * half;
      seen[half] = in.intervals.rows[query + 8 * half];
      logsumexp[half] = view.logsumexp[at] * kLog2E, delta[half] = view.delta[at];
    }
  if (hull.x < hull.y) {
    Turn<1>(work.turn++).wait_full(work.shared.kept_full);
    for (int key = hull.x; key < hull.y; key += walked) {
      if (key >= own.last || key + walked <= own.first) {
        work.pass();
        continue;
      }
      float scores[walked / 8][4], gradients[walked / 8][4];
      unsigned packed[walked / 16][4];
      int buffer = work.products(scores, gradients);
      group_keep(sums);
#pragma unroll
      for (int i = 0; i < walked / 8; ++i)
#pragma unroll
        for (int c = 0; c < 4; ++c) scores[i][c] = scores[i][c] * work.scale - logsumexp[c / 2];
      if (!(own.all_first <= key && key + walked <= own.all_last)) hide_unseen(seen, key, scores);
      group_wait<0>();
      group_keep(gradients);
#pragma unroll
      for (int i = 0; i < walked / 8; ++i)
#pragma unroll
        for (int c = 0; c < 4; ++c) gradients[i][c] = exp2_of(scores[i][c]) * (gradients[i][c] - delta[c / 2]);
      pack_weights<walked>(gradients, packed);
      group_fence();
      group_multiply_weights<dim, walked>(packed, work.shared.walked_matrix(buffer, 0), sums);
    }
    work.finish();
    group_keep(sums);
  }
  int first = tile * kGroupRows + work.group * 64 + int(threadIdx.x) % 128 / 32 * 16;
  store_sums<dim>(sums, in.scale, in.tokens - first, in.query_row, view.dq + first * in.query_row + head * dim);
}

/// dq. Grid of as many blocks as run at a time, kGroupThreads.
template <int dim>
__global__ void __launch_bounds__(kGroupThreads, 1)
    attention_query_gradients_groups(BackwardView<bf16> view, GroupGrid grid) {
#ifndef LATHE_NO_GROUPS
  extern __shared__ uint4 shared_memory[];
  GroupBackwardShared<dim> shared(shared_memory);
  shared.start();
  if (group_of_thread() == 0) {
    fewer_registers<kCopyRegisters>();
    BackwardCopy<dim> copy{shared};
    RowPair queries = queries_of(view), keys = keys_of(view);
    for (int piece = int(blockIdx.x); piece < grid.pieces(); piece += int(gridDim.x)) {
      auto [tile, head] = grid.tile_and_head(piece);
      int2 hull = seen_by_group(view.in, tile);
      int64_t kv_head = head / view.in.group * dim;
      if (hull.x < hull.y) copy.keep(queries.from(tile * kGroupRows, head * dim, head * dim));
      keys.limit = hull.y;
      for (int key = hull.x; key < hull.y; key += shared.kWalked)
        copy.walk(keys.from(key, kv_head, kv_head), [](int, int) {});
    }
  } else {
    more_registers<kComputeRegisters>();
    BackwardGroup<dim> work{view, shared, group_of_thread() - 1};
    for (int piece = int(blockIdx.x); piece < grid.pieces(); piece += int(gridDim.x)) {
      auto [tile, head] = grid.tile_and_head(piece);
      query_gradients_of_group<dim>(work, tile, head);
    }
  }
#endif
}

/// The tiles of queries, each kIntervalTile, that see any of kGroupRows keys.
template <class T>
__device__ int2 tiles_that_see(const AttentionView<T>& in, int tile) {
  SeeingQueries one = in.intervals.keys[2 * tile], other{0, 0};
  if ((2 * tile + 1) * int(kIntervalTile) < in.memory_tokens) other = in.intervals.keys[2 * tile + 1];
  if (one.first >= one.last) one = other;
  if (other.first >= other.last) other = one;
  int first = min(one.first, other.first), last = max(one.last, other.last);
  return {first / int(kIntervalTile), first < last ? (last - 1) / int(kIntervalTile) + 1 : 0};
}

/// Dot products of a lane's keys, from row `key` on, with the queries of a buffer become weights.
template <int dim, int blocks>
__device__ void weights_of_queries(const BackwardGroup<dim>& work, int buffer, int key, bool all_seen,
                                   float (&scores)[blocks][4]) {
  int column = buffer * work.kWalked + 2 * (work.lane % 4);
#pragma unroll
  for (int i = 0; i < blocks; ++i)
#pragma unroll
    for (int c = 0; c < 4; ++c)
      scores[i][c] = exp2_of(scores[i][c] * work.scale - work.shared.logsumexp[column + 8 * i + c % 2] * kLog2E);
  if (all_seen) return;
#pragma unroll
  for (int i = 0; i < blocks; ++i)
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      SeenKeys seen = work.shared.rows[column + 8 * i + c % 2];
      int row = key + 8 * (c / 2);
      if (row < seen.first || row >= seen.last) scores[i][c] = 0;
    }
}

/// Gradients of weights become those of scores. The weights are taken as they were rounded: it spares their registers.
template <int dim, int blocks>
__device__ void score_gradients(const BackwardGroup<dim>& work, int buffer, const unsigned (&weights)[blocks / 2][4],
                                float (&gradients)[blocks][4]) {
  const float* delta = work.shared.delta + buffer * work.kWalked + 2 * (work.lane % 4);
#pragma unroll
  for (int i = 0; i < blocks / 2; ++i)
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      int block = 2 * i + pair / 2, c = 2 * (pair % 2);
      float first = __uint_as_float(weights[i][pair] << 16), second = __uint_as_float(weights[i][pair] & 0xffff0000u);
      gradients[block][c] = first * (gradients[block][c] - delta[8 * block]);
      gradients[block][c + 1] = second * (gradients[block][c + 1] - delta[8 * block + 1]);
    }
}

/// dk and dv of kGroupRows keys of a key head.
template <int dim>
__device__ void key_gradients_of_group(BackwardGroup<dim>& work, int tile, int kv_head) {
  constexpr int walked = BackwardGroup<dim>::kWalked;
  const BackwardView<bf16>& view = work.view;
  const AttentionView<bf16>& in = view.in;
  int2 walk = tiles_that_see(in, tile);
  int first_key = tile * kGroupRows + work.group * 64, key = tile * kGroupRows + work.first_row();
  float dk[dim / 8][4] = {}, dv[dim / 8][4] = {};
  if (walk.x < walk.y) {
    Turn<1>(work.turn++).wait_full(work.shared.kept_full);
    for (int head = 0; head < in.group; ++head)
      for (int queries = walk.x; queries < walk.y; ++queries) {
        SeenByTile seen = in.intervals.tiles[queries];
        if (seen.last <= first_key || seen.first >= first_key + 64) {
          work.pass();
          continue;
        }
        float scores[walked / 8][4], gradients[walked / 8][4];
        unsigned packed[walked / 16][4], packed_gradients[walked / 16][4];
        int buffer = work.products(scores, gradients);
        group_keep(dk);
        group_keep(dv);
        weights_of_queries<dim>(work, buffer, key, seen.all_first <= first_key && first_key + 64 <= seen.all_last,
                                scores);
        pack_weights<walked>(scores, packed);
        group_fence();
        group_multiply_weights<dim, walked>(packed, work.shared.walked_matrix(buffer, 1), dv);
        group_wait<1>();
        group_keep(gradients);
        score_gradients<dim>(work, buffer, packed, gradients);
        pack_weights<walked>(gradients, packed_gradients);
        group_fence();
        group_multiply_weights<dim, walked>(packed_gradients, work.shared.walked_matrix(buffer, 0), dk);
      }
    work.finish();
    group_keep(dk);
    group_keep(dv);
  }
  int first = first_key + int(threadIdx.x) % 128 / 32 * 16;
  int64_t to = first * in.key_row + kv_head * dim;
  store_sums<dim>(dk, in.scale, in.memory_tokens - first, in.key_row, view.dk + to);
  store_sums<dim>(dv, 1, in.memory_tokens - first, in.key_row, view.dv + to);
}

/// dk and dv. Grid of as many blocks as run at a time, kGroupThreads.
template <int dim>
__global__ void __launch_bounds__(kGroupThreads, 1)
    attention_key_gradients_groups(BackwardView<bf16> view, GroupGrid grid) {
#ifndef LATHE_NO_GROUPS
  extern __shared__ uint4 shared_memory[];
  GroupBackwardShared<dim> shared(shared_memory);
  const AttentionView<bf16>& in = view.in;
  shared.start();
  if (group_of_thread() == 0) {
    fewer_registers<kCopyRegisters>();
    BackwardCopy<dim> copy{shared};
    RowPair queries = queries_of(view), keys = keys_of(view);
    for (int piece = int(blockIdx.x); piece < grid.pieces(); piece += int(gridDim.x)) {
      auto [tile, kv_head] = grid.tile_and_head(piece);
      int2 walk = tiles_that_see(in, tile);
      if (walk.x < walk.y) copy.keep(keys.from(tile * kGroupRows, kv_head * dim, kv_head * dim));
      for (int head = kv_head * in.group; head < (kv_head + 1) * in.group; ++head)
        for (int query = walk.x * 64; query < walk.y * 64; query += 64)
          copy.walk(queries.from(query, head * dim, head * dim), [&](int buffer, int i) {
            bool any = query + i < in.tokens;
            int64_t from = int64_t(head) * in.tokens + (any ? query + i : 0);
            copy_async_16(shared.rows + buffer * 64 + i, in.intervals.rows + query + i, true);
            copy_async_4(shared.logsumexp + buffer * 64 + i, view.logsumexp + from, any);
            copy_async_4(shared.delta + buffer * 64 + i, view.delta + from, any);
          });
    }
  } else {
    more_registers<kComputeRegisters>();
    BackwardGroup<dim> work{view, shared, group_of_thread() - 1};
    for (int piece = int(blockIdx.x); piece < grid.pieces(); piece += int(gridDim.x)) {
      auto [tile, kv_head] = grid.tile_and_head(piece);
      key_gradients_of_group<dim>(work, tile, kv_head);
    }
  }
#endif
}

}  // namespace lathe
