#pragma once
// Backward attention for warpgroups: gradients of 128 keys stay in registers, 64 a group, while queries go by; the
// weights of a step are computed once for dk, dv and dq (Shah et al. 2024). Scores lie across, [keys, queries], so that
// they multiply queries and dout as they are; their gradients go through shared memory to meet the keys.

#include "lathe/ops/attention_backward_steps.cuh"

namespace lathe {

/// A group that computes, 0 or 1.
template <int dim>
struct BackwardGroup {
  using Shared = BackwardShared<dim>;
  static constexpr int kQueries = Shared::kQueries;
  /// Whether a step's dq is multiplied before its dk, which then runs while sums of dq are handed on: next to products
  /// with both sides in shared memory, as the next scores are, there is hardly room to store them. Else dk and dq run
  /// on while the next scores begin; for heads of 128 there are no registers for that.
  static constexpr bool kQueriesFirst = dim == 128;
  const AttentionView<bf16>& in;
  const Shared& shared;
  int group, lane = int(threadIdx.x) % 32, warp_row = group * 64 + int(threadIdx.x) % 128 / 32 * 16;
  float scale = in.scale * kLog2E;

  /// The warp is together, behind products.
  __device__ void leave(uint64_t* barrier) const {
    if (kWarpArrivals > 1 || lane == 0) barrier_arrive(barrier);
  }

  /// Dot products become weights.
  __device__ void weights(int buffer, int flags, int first_key, float (&scores)[kQueries / 8][4]) const {
    const float* logsumexp = shared.statistics_of(buffer) + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < kQueries / 8; ++i) {
      float2 of_columns = *reinterpret_cast<const float2*>(logsumexp + 8 * i);
#pragma unroll
      for (int c = 0; c < 4; ++c)
        scores[i][c] = exp2_of(scores[i][c] * scale - (c % 2 == 0 ? of_columns.x : of_columns.y));
    }
    if (flags & Step::all_seen << group) return;
    const SeenKeys* rows = shared.rows + buffer * kQueries + 2 * (lane % 4);
    int key = first_key + warp_row + lane / 4;
#pragma unroll
    for (int i = 0; i < kQueries / 8; ++i)
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        int2 seen = *reinterpret_cast<const int2*>(rows + 8 * i + c);
        if (key < seen.x || key >= seen.y) scores[i][c] = 0;
        if (key + 8 < seen.x || key + 8 >= seen.y) scores[i][c + 2] = 0;
      }
  }

  /// Gradients of weights become those of scores. The weights are taken as they were rounded: it spares registers.
  __device__ void score_gradients(int buffer, const unsigned (&weights)[kQueries / 16][4],
                                  float (&gradients)[kQueries / 8][4]) const {
    const float* delta = shared.statistics_of(buffer) + kQueries + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < kQueries / 8; ++i) {
      float2 of_columns = *reinterpret_cast<const float2*>(delta + 8 * i);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        unsigned pair = weights[i / 2][i % 2 * 2 + half];
        float first = __uint_as_float(pair << 16), second = __uint_as_float(pair & 0xffff0000u);
        gradients[i][2 * half] = first * (gradients[i][2 * half] - of_columns.x);
        gradients[i][2 * half + 1] = second * (gradients[i][2 * half + 1] - of_columns.y);
      }
    }
  }

  __device__ void begin_scores(const bf16* keys, int buffer, float (&scores)[kQueries / 8][4]) const {
    group_fence();
    group_multiply_rows<dim, kGroupRows, kQueries>(keys + group * 64 * 64, shared.walked_matrix(buffer, 0), scores);
  }

  /// This group's part of the sums of a step's queries: half of the rows, or of the columns.
  __device__ void begin_sums(int piece, float (&sums)[8][4]) const {
    const bf16* keys = shared.keys(piece % Shared::Steps::kKeys);
    group_multiply_columns<kGroupRows>(shared.scores + (dim == 64 ? group * Shared::Scores::kBlock : 0),
                                       keys + (dim == 64 ? 0 : group * Shared::Kept::kBlock), sums);
  }
  /// Until all products are computed but those begun last.
  __device__ void await_sums(float (&sums)[8][4]) const {
    group_wait<1>();
    group_keep(sums);
    leave(shared.scores_empty);
  }
  /// Hands the sums to who adds them.
  __device__ void put_sums(int put, const float (&sums)[8][4]) const {
    Turn<1>(put).wait_empty(shared.sums_empty + group);
    float4* to = reinterpret_cast<float4*>(shared.sums + group * kSumsPart) + threadIdx.x % 128;
#pragma unroll
    for (int i = 0; i < 8; ++i) to[i * 128] = float4{sums[i][0], sums[i][1], sums[i][2], sums[i][3]};
    show_to_products();
    barrier_arrive_warp(shared.sums_full + group);
  }

  /// Until step `n` is copied; its flags.
  __device__ int wait_for_step(int n) const {
    Turn<Shared::kStages> at(n);
    at.wait_full(shared.full);
    return __shfl_sync(~0u, shared.steps[at.buffer].flags, 0);
  }

  /// Puts this group's rows of sums, times `factor`, into shared memory that holds kGroupRows of them. Clears the sums.
  __device__ void stage(float (&sums)[dim / 8][4], float factor, bf16* rows) const {
    unsigned packed[dim / 16][4];
#pragma unroll
    for (int i = 0; i < dim / 8; ++i)
#pragma unroll
      for (int c = 0; c < 4; ++c) sums[i][c] *= factor;
    pack_weights<dim>(sums, packed);
    store_weights<kGroupRows, dim>(packed, rows, warp_row);
    show_to_products();
#pragma unroll
    for (int i = 0; i < dim / 8; ++i)
#pragma unroll
      for (int c = 0; c < 4; ++c) sums[i][c] = 0;
  }
  __device__ void store(const CUtensorMap& map, int first_key, int kv_head, const bf16* rows) const {
    store_tile<kGroupRows, dim>(map, first_key + group * 64, kv_head * dim, rows + group * 64 * 64);
    store_bulk_commit();
  }

  /// dk and dv of a piece, whose keys, and values where the next ones have another place, are not read any more: their
  /// shared memory is on the way.
  __device__ void store_gradients(const BackwardMaps& maps, int piece, int first_key, int kv_head,
                                  float (&dk)[dim / 8][4], float (&dv)[dim / 8][4]) const {
    using Steps = typename Shared::Steps;
    bool stores = threadIdx.x % 128 == 0;
    bf16* keys = shared.keys(piece % Steps::kKeys);
    wait_for_threads<256>(1);  // both groups have read the keys
    stage(dk, in.scale, keys);
    if constexpr (Steps::kValues == 2) stage(dv, 1, shared.values(piece % 2));
    wait_for_threads<128>(2 + group);
    if (stores) store(maps.dk, first_key, kv_head, keys);
    if constexpr (Steps::kValues == 2) {
      if (stores) store(maps.dv, first_key, kv_head, shared.values(piece % 2));
    } else {
      if (stores) store_bulk_wait_read();
      wait_for_threads<128>(2 + group);
      stage(dv, 1, keys);
      wait_for_threads<128>(2 + group);
      if (stores) store(maps.dv, first_key, kv_head, keys);
    }
    if (!stores) return;
    store_bulk_wait_read();
    barrier_arrive(shared.keys_empty + piece % Steps::kKeys);
    if constexpr (Steps::kValues == 2) barrier_arrive(shared.values_empty + piece % 2);
  }

  /// All steps of the block. Scores of the next step begin before this one ends; those after the last are of no use,
  /// but a branch around them would make nvcc serialize all products.
  __device__ void run(const BackwardMaps& maps) const {
    using Steps = typename Shared::Steps;
    float scores[kQueries / 8][4], dk[dim / 8][4] = {}, dv[dim / 8][4] = {};
    int flags = wait_for_step(0), piece = 0, first_key = shared.steps[0].keys * kGroupRows,
        kv_head = shared.steps[0].kv_head;
    if (flags & Step::end) return;
    Turn<Steps::kKeys>(0).wait_full(shared.keys_full);
    begin_scores(shared.keys(0), 0, scores);
    group_wait<0>();
    group_keep(scores);
    for (int steps = 0;; ++steps) {
      float gradients[kQueries / 8][4], sums[8][4];
      unsigned packed[kQueries / 16][4], packed_gradients[kQueries / 16][4];
      int buffer = steps % Shared::kStages, next = (steps + 1) % Shared::kStages;
      const bf16 *q = shared.walked_matrix(buffer, 0), *dout = shared.walked_matrix(buffer, 1);
      if (flags & Step::first) Turn<Steps::kValues>(piece).wait_full(shared.values_full);
      group_fence();
      group_multiply_rows<dim, kGroupRows, kQueries>(shared.values(piece % Steps::kValues) + group * 64 * 64, dout,
                                                     gradients);
      weights(buffer, flags, first_key, scores);
      pack_weights<kQueries>(scores, packed);
      group_fence();
      group_multiply_weights<dim, kQueries>(packed, dout, dv);
      group_wait<1>();
      group_keep(gradients);
      if (Steps::kValues == 1 && (flags & Step::last)) leave(shared.values_empty);
      score_gradients(buffer, packed, gradients);
      pack_weights<kQueries>(gradients, packed_gradients);
      Turn<1>(steps).wait_empty(shared.scores_empty);
      store_weights<kGroupRows, kQueries>(packed_gradients, shared.scores, warp_row);
      show_to_products();
      if constexpr (kQueriesFirst) {
        wait_for_threads<256>(1);
        group_fence();
        begin_sums(piece, sums);
        group_multiply_weights<dim, kQueries>(packed_gradients, q, dk);
        await_sums(sums);
        put_sums(steps, sums);
      } else {
        group_fence();
        group_multiply_weights<dim, kQueries>(packed_gradients, q, dk);
        wait_for_threads<256>(1);
        begin_sums(piece, sums);
      }
      int next_flags = wait_for_step(steps + 1), next_piece = piece + (next_flags & Step::first);
      if (next_flags & Step::first) Turn<Steps::kKeys>(next_piece).wait_full(shared.keys_full);
      group_wait<kQueriesFirst ? 0 : 2>();
      if constexpr (kQueriesFirst) leave(shared.empty + buffer);
      begin_scores(shared.keys(next_piece % Steps::kKeys), next, scores);
      if constexpr (!kQueriesFirst) {
        await_sums(sums);
        leave(shared.empty + buffer);
        put_sums(steps, sums);
      }
      group_wait<0>();
      group_keep(scores);
      if (flags & Step::last) {
        group_keep(dk);
        group_keep(dv);
        store_gradients(maps, piece, first_key, kv_head, dk, dv);
        first_key = shared.steps[next].keys * kGroupRows, kv_head = shared.steps[next].kv_head;
      }
      if (next_flags & Step::end) return;
      flags = next_flags, piece = next_piece;
    }
  }
};

/// dk, dv and dq. Grid of as many blocks as run at a time, kGroupThreads.
template <int dim>
__global__ void __launch_bounds__(kGroupThreads, 1)
    attention_backward_groups(BackwardView<bf16> view, const __grid_constant__ BackwardMaps maps, BackwardSums to,
                              GroupGrid keys) {
#ifndef LATHE_NO_GROUPS
  extern __shared__ uint4 shared_memory[];
  BackwardShared<dim> shared(shared_memory);
  shared.start();
  wait_for_earlier_kernels();
  if (group_of_thread() == 0) {
    fewer_registers<kBackwardCopyRegisters>();
    if (threadIdx.x == 0) BackwardCopy<dim>{view.in, to, maps, shared}.run(keys);
    if (threadIdx.x == 32) add_in_turn<dim>(to, shared, 0);
    if (threadIdx.x == 64) add_in_turn<dim>(to, shared, 1);
    if (threadIdx.x >= 96) finish_queries<dim>(view, to, shared);
  } else {
    more_registers<kBackwardRegisters>();
    BackwardGroup<dim>{view.in, shared, group_of_thread() - 1}.run(maps);
  }
#endif
}

}  // namespace lathe
