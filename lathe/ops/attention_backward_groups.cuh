#pragma once
// Backward attention for warpgroups: pieces of two kinds as in attention_backward.cuh, each with 128 rows that stay
// (queries and dout, or keys and values) while tiles of 64 of the others go by. One kernel does both: first the pieces
// of keys, which are long, then those of queries.

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
                                kStages * kQueryBytes + (3 * kStages + 2) * int(sizeof(uint64_t)) +
                                int(sizeof(PieceBuffers));

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
        kept_empty(kept_full + 1),
        pieces(reinterpret_cast<PieceBuffers*>(kept_empty + 1)) {}

  /// By the whole block, once.
  __device__ void start() const {
    if (threadIdx.x == 0) Pieces{pieces, nullptr}.start();
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
  PieceBuffers* pieces;
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

/// How many tiles, and matrices that stay, a group has come to.
struct BackwardProgress {
  int tiles = 0, kept = 0;
};

/// A group that computes, 0 or 1: what both kinds of pieces do with a tile that goes by. The first `held` of the
/// matrices that stay are taken into registers, for heads of 64; larger ones leave no room.
template <int dim, int held>
struct BackwardGroup {
  using Shared = GroupBackwardShared<dim>;
  static constexpr int kWalked = Shared::kWalked;
  static constexpr bool kAllHeld = held == 2;
  const BackwardView<bf16>& view;
  const Shared& shared;
  BackwardProgress& progress;
  int group, lane = int(threadIdx.x) % 32, before = -1;
  float scale = view.in.scale * kLog2E;
  unsigned kept[held > 0 ? held : 1][dim / 16][4];

  __device__ int first_row() const { return group * 64 + int(threadIdx.x) % 128 / 32 * 16 + lane / 4; }
  __device__ void leave(uint64_t* barrier) const {
    if (lane == 0) barrier_arrive(barrier);
  }
  /// Before the first tile of a piece.
  __device__ void take_kept() {
    Turn<1>(progress.kept++).wait_full(shared.kept_full);
#pragma unroll
    for (int i = 0; i < held; ++i) load_left<kGroupRows, dim>(shared.kept_matrix(i), first_row(), kept[i]);
    __syncwarp();
    if constexpr (kAllHeld) leave(shared.kept_empty);
  }
  template <int which>
  __device__ void multiply_kept(const bf16* tile, float (&products)[kWalked / 8][4]) const {
    if constexpr (which < held)
      group_multiply_rows<dim, kWalked>(kept[which], tile, products);
    else
      group_multiply_rows<dim, kGroupRows, kWalked>(shared.kept_matrix(which) + group * 64 * 64, tile, products);
  }
  /// A tile that this group has nothing to do with.
  __device__ void pass() {
    let_go();
    Turn<Shared::kStages> at(progress.tiles++);
    at.wait_full(shared.one_full);
    at.wait_full(shared.other_full);
    leave(shared.empty + at.buffer);
  }
  /// Products of both kept matrices with the next tile, the second still running. Those with the tile before, which
  /// read it and were begun last, are done.
  __device__ int products(float (&one)[kWalked / 8][4], float (&other)[kWalked / 8][4]) {
    Turn<Shared::kStages> at(progress.tiles++);
    at.wait_full(shared.one_full);
    group_fence();
    multiply_kept<0>(shared.walked_matrix(at.buffer, 0), one);
    at.wait_full(shared.other_full);
    group_fence();
    multiply_kept<1>(shared.walked_matrix(at.buffer, 1), other);
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
    if constexpr (!kAllHeld) leave(shared.kept_empty);
  }
};

/// How many matrices pieces of keys and of queries hold in registers. Those of keys have none left: with one, nvcc 13.0
/// gives its registers to weights as well (GpuAttention.AgreesWithTheCpu shows it).
template <int dim>
constexpr int kHeldOfKeys = 0;
template <int dim>
constexpr int kHeldOfQueries = dim == 64 ? 2 : 0;

/// dq of kGroupRows queries of a head.
template <int dim>
__device__ void query_gradients_of_group(BackwardGroup<dim, kHeldOfQueries<dim>> work, int2 tile_and_head) {
  auto [tile, head] = tile_and_head;
  constexpr int walked = GroupBackwardShared<dim>::kWalked;
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
    work.take_kept();
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

/// What query_gradients_of_group() reads.
template <int dim>
__device__ void copy_for_queries(BackwardCopy<dim>& copy, const BackwardView<bf16>& view, int2 tile_and_head) {
  auto [tile, head] = tile_and_head;
  RowPair keys = keys_of(view);
  int2 hull = seen_by_group(view.in, tile);
  int64_t kv_head = head / view.in.group * dim;
  if (hull.x < hull.y) copy.keep(queries_of(view).from(tile * kGroupRows, head * dim, head * dim));
  keys.limit = hull.y;
  for (int key = hull.x; key < hull.y; key += copy.shared.kWalked)
    copy.walk(keys.from(key, kv_head, kv_head), [](int, int) {});
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
template <int dim, int held, int blocks>
__device__ void weights_of_queries(const BackwardGroup<dim, held>& work, int buffer, int key, bool all_seen,
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
template <int dim, int held, int blocks>
__device__ void score_gradients(const BackwardGroup<dim, held>& work, int buffer,
                                const unsigned (&weights)[blocks / 2][4], float (&gradients)[blocks][4]) {
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
__device__ void key_gradients_of_group(BackwardGroup<dim, kHeldOfKeys<dim>> work, int2 tile_and_head) {
  auto [tile, kv_head] = tile_and_head;
  constexpr int walked = GroupBackwardShared<dim>::kWalked;
  const BackwardView<bf16>& view = work.view;
  const AttentionView<bf16>& in = view.in;
  int2 walk = tiles_that_see(in, tile);
  int first_key = tile * kGroupRows + work.group * 64, key = tile * kGroupRows + work.first_row();
  float dk[dim / 8][4] = {}, dv[dim / 8][4] = {};
  if (walk.x < walk.y) {
    work.take_kept();
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
        weights_of_queries(work, buffer, key, seen.all_first <= first_key && first_key + 64 <= seen.all_last, scores);
        pack_weights<walked>(scores, packed);
        group_fence();
        group_multiply_weights<dim, walked>(packed, work.shared.walked_matrix(buffer, 1), dv);
        group_wait<1>();
        group_keep(gradients);
        score_gradients(work, buffer, packed, gradients);
        pack_weights<walked>(gradients, packed_gradients);
        group_fence();
        group_multiply_weights<dim, walked>(packed_gradients, work.shared.walked_matrix(buffer, 0), dk);
        if constexpr (dim > 64) work.let_go();  // its registers are wanted, or the compiler lets no products overlap
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

/// What key_gradients_of_group() reads.
template <int dim>
__device__ void copy_for_keys(BackwardCopy<dim>& copy, const BackwardView<bf16>& view, int2 tile_and_head) {
  auto [tile, kv_head] = tile_and_head;
  const AttentionView<bf16>& in = view.in;
  const GroupBackwardShared<dim>& shared = copy.shared;
  RowPair queries = queries_of(view);
  int2 walk = tiles_that_see(in, tile);
  if (walk.x < walk.y) copy.keep(keys_of(view).from(tile * kGroupRows, kv_head * dim, kv_head * dim));
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

/// Which gradients a kernel computes.
enum class Gradients : uint8_t { of_all, of_keys, of_queries };

/// dk and dv, dq, or all. Grid of as many blocks as run at a time, kGroupThreads. A kernel for queries alone follows
/// one for keys, and takes its pieces by another counter.
template <int dim, Gradients which>
__global__ void __launch_bounds__(kGroupThreads, 1)
    attention_backward_groups(BackwardView<bf16> view, GroupGrid keys, GroupGrid queries) {
#ifndef LATHE_NO_GROUPS
  extern __shared__ uint4 shared_memory[];
  GroupBackwardShared<dim> shared(shared_memory);
  shared.start();
  Pieces pieces{shared.pieces, view.in.intervals.taken + (which == Gradients::of_queries)};
  int of_keys = which == Gradients::of_queries ? 0 : keys.pieces();
  int all = of_keys + (which == Gradients::of_keys ? 0 : queries.pieces());
  if (group_of_thread() == 0) {
    fewer_registers<kCopyRegisters<dim>>();
    BackwardCopy<dim> copy{shared};
    for (int piece; (piece = pieces.next_drawing(all)) < all;) {
      if (which == Gradients::of_keys || (which == Gradients::of_all && piece < of_keys))
        copy_for_keys<dim>(copy, view, keys.tile_and_head(piece));
      else
        copy_for_queries<dim>(copy, view, queries.tile_and_head(piece - of_keys));
    }
  } else {
    more_registers<kComputeRegisters<dim>>();
    BackwardProgress progress;
    int group = group_of_thread() - 1;
    for (int piece; (piece = pieces.next()) < all;) {
      if (which == Gradients::of_keys || (which == Gradients::of_all && piece < of_keys))
        key_gradients_of_group<dim>({view, shared, progress, group}, keys.tile_and_head(piece));
      else
        query_gradients_of_group<dim>({view, shared, progress, group}, queries.tile_and_head(piece - of_keys));
    }
  }
#endif
}

}  // namespace lathe
