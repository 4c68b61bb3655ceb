#pragma once
// Forward attention for warpgroups: products of the next tile of keys run while the softmax of this one is computed
// (Shah et al. 2024), also from one piece of work to the next. Exponentials stand between the wait for scores and the
// end of a turn of the loop, and the wait for sums at its beginning: nvcc 13.0 moves them behind a wait that follows
// them.

#include "lathe/ops/attention_forward.cuh"
#include "lathe/ops/attention_forward_pieces.cuh"
#include "lathe/tensor/dependent.cuh"

namespace lathe {

/// The weights' scale and this lane's part of their sum, for a lane's two rows. Weights are 2^(dot * scale - base).
struct GroupSoftmax {
  float highest[2] = {-INFINITY, -INFINITY}, base[2] = {0, 0}, total[2] = {0, 0};

  /// Turns dot products into weights; `scale` is in units of log 2. The base follows the highest dot product only when
  /// that grew by more than `slack` in a row of the warp: true then, and earlier sums are to be multiplied by `kept`.
  template <int blocks>
  __device__ bool add(float (&scores)[blocks][4], float scale, float slack, float (&kept)[2]) {
    float most[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int i = 0; i < blocks; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        most[half] = fmaxf(most[half], fmaxf(scores[i][2 * half], scores[i][2 * half + 1]));
    bool grew = __any_sync(~0u, most[0] > highest[0] + slack || most[1] > highest[1] + slack);
    if (grew)
#pragma unroll
      for (int half = 0; half < 2; ++half) raise(half, most[half], scale, kept);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = 0;
#pragma unroll
      for (int i = 0; i < blocks; ++i)
#pragma unroll
        for (int c = 2 * half; c < 2 * half + 2; ++c) {
          scores[i][c] = exp2_of(scores[i][c] * scale - base[half]);
          sum += scores[i][c];
        }
      total[half] += sum;
    }
    return grew;
  }
  __device__ void raise(int half, float most, float scale, float (&kept)[2]) {
    most = fmaxf(most, highest[half]);
    most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
    most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
    base[half] = most == -INFINITY ? 0 : most * scale;
    kept[half] = exp2_of(highest[half] * scale - base[half]);
    total[half] *= kept[half];
    highest[half] = most;
  }
  __device__ void finish() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      total[half] += __shfl_xor_sync(~0u, total[half], 1);
      total[half] += __shfl_xor_sync(~0u, total[half], 2);
    }
  }
};

/// A group that computes.
template <int dim>
class ForwardGroup {
 public:
  __device__ ForwardGroup(const AttentionView<bf16>& in, const ForwardMaps& maps, ForwardMemory<dim>& shared,
                          float* logsumexp, int group)
      : in_(in), maps_(maps), shared_(shared), logsumexp_(logsumexp), group_(group) {}

  /// All pieces of the block.
  __device__ void run() {
    if (Shape::kTurns && group_ == Shape::kGroups - 1) turn_pass(1);
    for (next_piece(); piece_.tiles > 0;) chain();
    if (thread_ == 0) store_bulk_wait();
  }

 private:
  using Memory = ForwardMemory<dim>;
  using Shape = ForwardShape<dim>;
  using Place = RingPlace<Memory::kStages>;
  using Scores = float[kForwardKeys / 8][4];
  using Weights = unsigned[kForwardKeys / 16][4];

  /// As this group sees it.
  struct Piece {
    int tile, head, end, tiles;
    GroupTiles own;
  };

  /// Products of a tile begin when the group before has begun its own of the tile, so that they compute exponentials
  /// one after the other.
  __device__ void await_turn() const {
    if constexpr (Shape::kTurns) turn_wait(1 + group_);
  }
  __device__ void pass_turn() const {
    if constexpr (Shape::kTurns) turn_pass(1 + (group_ + 1) % Shape::kGroups);
  }
  __device__ void next_piece() {
    pieces_.wait_full(shared_.pieces_full);
    const ForwardPiece& piece = shared_.pieces[pieces_.buffer];
    auto same = [](int value) { return __shfl_sync(~0u, value, 0); };  // known to be for the whole warp
    const GroupTiles& own = piece.of_group[group_];
    piece_ = {same(piece.tile),
              same(piece.head),
              same(piece.end),
              same(piece.tiles),
              {same(own.from), same(own.to), same(own.plain_from), same(own.plain_to)}};
    barrier_arrive_warp(shared_.pieces_empty + pieces_.buffer);
    pieces_.advance();
  }
  __device__ void take_queries() {
    slot_.wait_full(shared_.q_full[group_]);
    int row = thread_ / 32 * 16;
    for (int half = 0; half < 2; ++half) {
      const SeenKeys* seen = &shared_.rows[group_][slot_.buffer][row + lane_ / 4 + 8 * half];
      int2 range = *reinterpret_cast<const int2*>(seen);
      seen_[half].first = range.x, seen_[half].last = range.y;
    }
    if constexpr (Shape::kHeld) {
#pragma unroll
      for (int k = 0; k < dim / 16; ++k)
        load_matrices(queries_[k],
                      shared_.q[group_][slot_.buffer] + Memory::Queries::place(row + lane_ % 16, 2 * k + lane_ / 16));
      leave_queries();
    }
  }
  /// Their shared memory is free for others then.
  __device__ void leave_queries() {
    barrier_arrive_warp(shared_.q_empty[group_] + slot_.buffer);
    slot_.advance();
  }
  /// Tiles that no row of the group sees.
  __device__ void skip(int tiles) {
#pragma unroll 1
    for (int i = 0; i < tiles; ++i, at_.advance()) {
      at_.wait_full(shared_.k_full);
      await_turn();
      pass_turn();
      barrier_arrive_warp(shared_.k_empty + at_.buffer);
      at_.wait_full(shared_.v_full);
      barrier_arrive_warp(shared_.v_empty + at_.buffer);
    }
  }

  /// Dot products with the keys at `now`, begun but not awaited.
  __device__ void begin_scores(const Place& now, Scores& scores) const {
    if constexpr (Shape::kHeld)
      group_multiply_rows<dim, kForwardKeys>(queries_, shared_.k[now.buffer], scores);
    else
      group_multiply_rows<dim, 64, kForwardKeys>(shared_.q[group_][slot_.buffer], shared_.k[now.buffer], scores);
  }
  __device__ void begin_sums(const Weights& weights) {
    before_.wait_full(shared_.v_full);
    group_multiply_weights<dim, kForwardKeys>(weights, shared_.v[before_.buffer], sums_);
  }
  __device__ void clear_sums() {
#pragma unroll
    for (int i = 0; i < dim / 8; ++i)
#pragma unroll
      for (int c = 0; c < 4; ++c) sums_[i][c] = 0;
  }
  /// Dot products with the keys of tile `i` of the piece become weights.
  __device__ void soften(int i, Scores& scores) {
    int key = piece_.end - (i + 1) * kForwardKeys;
    if (i < piece_.own.plain_from) hide_unseen<true>(seen_, key, scores);
    if (i >= piece_.own.plain_to) hide_unseen<false>(seen_, key, scores);
    grew_ = softmax_.add(scores, scale_, slack_, kept_);
  }

  /// Until the sums that were begun before the tile's weights are there, those of another piece if `finishing`.
  __device__ void settle(Scores& scores, Weights& weights) {
    group_wait<0>();
    group_keep(sums_);
    if (pending_) barrier_arrive_warp(shared_.v_empty + summed_.buffer);
    if (finishing_) {
      store(done_);
      clear_sums();
      finishing_ = false;
    } else if (grew_) {
#pragma unroll
      for (int i = 0; i < dim / 8; ++i)
#pragma unroll
        for (int c = 0; c < 4; ++c) sums_[i][c] *= kept_[c / 2];
    }
    pack_weights<kForwardKeys>(scores, weights);
  }

  /// The first tile of a piece, with nothing running beside it, then tile after tile and piece after piece, until one
  /// is so far behind that the values it waits for would find no room.
  __device__ void chain() {
    Scores scores;
    Weights weights;
    skip(piece_.own.from);
    take_queries();
    before_ = at_;
    at_.advance();
    before_.wait_full(shared_.k_full);
    await_turn();
    group_fence();
    begin_scores(before_, scores);
    pass_turn();
    group_wait<0>();
    group_keep(scores);
    barrier_arrive_warp(shared_.k_empty + before_.buffer);
    softmax_ = GroupSoftmax();
    int tile = piece_.own.from;
    clear_sums();
    soften(tile, scores);
    grew_ = pending_ = finishing_ = false;
    for (;;) {
      settle(scores, weights);
      if (++tile == piece_.own.to) {
        if constexpr (!Shape::kHeld) leave_queries();
        done_ = {piece_.tile, piece_.head, softmax_};
        int left = piece_.tiles - piece_.own.to;
        next_piece();
        if (piece_.tiles == 0 || left + piece_.own.from >= Memory::kStages) return end_chain(weights, left);
        skip(left + piece_.own.from);
        take_queries();
        finishing_ = true;
        softmax_ = GroupSoftmax();
        tile = piece_.own.from;
      }
      Place now = at_;
      at_.advance();
      now.wait_full(shared_.k_full);
      await_turn();
      group_fence();
      begin_scores(now, scores);
      begin_sums(weights);
      pass_turn();
      group_wait<1>();
      group_keep(scores);
      barrier_arrive_warp(shared_.k_empty + now.buffer);
      summed_ = before_, before_ = now, pending_ = true;
      soften(tile, scores);
    }
  }
  __device__ void end_chain(const Weights& weights, int left) {
    group_fence();
    begin_sums(weights);
    group_wait<0>();
    group_keep(sums_);
    barrier_arrive_warp(shared_.v_empty + before_.buffer);
    store(done_);
    skip(left);
  }

  /// A piece whose sums are complete but for their scale.
  struct Done {
    int tile, head;
    GroupSoftmax softmax;
  };
  /// Through shared memory, by the copy engine.
  __device__ void store(Done& done) {
    GroupSoftmax& softmax = done.softmax;
    softmax.finish();
    float share[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) share[half] = softmax.total[half] > 0 ? 1 / softmax.total[half] : 0;
    unsigned packed[dim / 16][4];
#pragma unroll
    for (int i = 0; i < dim / 8; ++i)
#pragma unroll
      for (int c = 0; c < 4; ++c) sums_[i][c] *= share[c / 2];
    pack_weights<dim>(sums_, packed);
    if (thread_ == 0) store_bulk_wait_read();
    wait_for_threads<128>(4 + group_);  // the last rows have left
    store_weights<64, dim>(packed, shared_.out[group_], thread_ / 32 * 16);
    show_to_products();
    wait_for_threads<128>(4 + group_);
    int query = (Shape::kGroups * done.tile + group_) * 64;
    if (thread_ == 0) {
      store_tile<64, dim>(maps_.out, query, done.head * dim, shared_.out[group_]);
      store_bulk_commit();
    }
    if (!logsumexp_ || lane_ % 4 != 0) return;
    query += thread_ / 32 * 16 + lane_ / 4;
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (query + 8 * half < in_.tokens)
        logsumexp_[int64_t(done.head) * in_.tokens + query + 8 * half] =
            softmax.total[half] > 0 ? softmax.highest[half] * in_.scale + logf(softmax.total[half]) : -INFINITY;
  }

  const AttentionView<bf16>& in_;
  const ForwardMaps& maps_;
  ForwardMemory<dim>& shared_;
  float* logsumexp_;
  int group_, thread_ = int(threadIdx.x) % 128, lane_ = int(threadIdx.x) % 32;
  float scale_ = in_.scale * kLog2E, slack_ = 8 / scale_;  ///< weights of up to 2^8
  RingPlace<2> pieces_;
  RingPlace<Memory::kSlots> slot_;
  Place at_, before_, summed_;  ///< the next tile; the one whose weights are known; the one whose values are multiplied
  Piece piece_;
  SeenKeys seen_[2];
  unsigned queries_[Shape::kHeld ? dim / 16 : 1][4];
  float sums_[dim / 8][4], kept_[2];
  GroupSoftmax softmax_;
  Done done_;
  bool grew_, pending_, finishing_;
};

/// Grid of as many blocks as run at a time, ForwardShape::kThreads. For positive scales, without soft cap, bias and
/// gaps.
template <int dim>
__global__ void __launch_bounds__(ForwardShape<dim>::kThreads, 1)
    attention_forward_groups(AttentionView<bf16> in, const __grid_constant__ ForwardMaps maps, GroupGrid grid,
                             float* logsumexp) {
#ifndef LATHE_NO_GROUPS
  extern __shared__ uint4 shared_memory[];
  ForwardMemory<dim>& shared = *reinterpret_cast<ForwardMemory<dim>*>(aligned_shared(shared_memory));
  shared.start();
  wait_for_earlier_kernels();
  if (group_of_thread() == 0) {
    fewer_registers<ForwardShape<dim>::kCopyRegisters>();
    if (threadIdx.x == 0) ForwardCopies<dim>(in, maps, shared).run();
    if (threadIdx.x == 32) draw_pieces(in, grid, shared);
  } else {
    more_registers<ForwardShape<dim>::kRegisters>();
    ForwardGroup<dim>(in, maps, shared, logsumexp, group_of_thread() - 1).run();
  }
#endif
}

}  // namespace lathe
