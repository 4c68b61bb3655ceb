#pragma once
// What the kernels for warpgroups share (Shah et al. 2024): a block has one group that copies and two that compute,
// each with 64 rows of its own; it stays and takes one piece of work after the other, whichever no block has taken yet,
// so that copies for the next begin early and long and short pieces even out.

#include "lathe/ops/attention_intervals.cuh"
#include "lathe/ops/warpgroup.cuh"

namespace lathe {

constexpr int kGroupThreads = 384, kGroupRows = 128;                  ///< of a block
constexpr int kBackwardCopyRegisters = 56, kBackwardRegisters = 224;  ///< two threads copy

/// Pieces of work: each of `tiles` of kGroupRows rows for each of `heads`. Heads take turns, `at_once` of them, as many
/// as the L2 cache holds; within these the last tiles, which see most if causal, come first.
struct GroupGrid {
  int tiles, heads, at_once;

  __device__ int pieces() const { return tiles * heads; }
  __device__ int2 tile_and_head(int piece) const {
    int first_head = piece / (tiles * at_once) * at_once, within = piece % (tiles * at_once);
    int sharing = min(at_once, heads - first_head);
    return {tiles - 1 - within / sharing, first_head + within % sharing};
  }
};

/// Which group of its block a thread is in, as a number that the compiler knows to be the same for a whole warp: what
/// depends on it does not make the code around products diverge.
__device__ inline int group_of_thread() { return __shfl_sync(~0u, int(threadIdx.x) / 128, 0); }

/// One of several buffers in turn, and how often they have been filled before: the n-th use of `stages` buffers.
template <int stages>
struct Turn {
  int buffer, parity;
  bool first;
  __device__ explicit Turn(int n) : buffer(n % stages), parity(n / stages % 2), first(n < stages) {}
  /// Until the copying side has filled the buffer, or the computing side has left it.
  __device__ void wait_full(uint64_t* full) const { barrier_wait(full + buffer, parity); }
  __device__ void wait_empty(uint64_t* empty) const {
    if (!first) barrier_wait(empty + buffer, parity ^ 1);
  }
};

/// What all of kIntervalTile queries see, nothing for a tile that is not there.
template <class T>
__device__ SeenByTile seen_by_tile(const AttentionView<T>& in, int tile) {
  return tile * int(kIntervalTile) < in.tokens ? in.intervals.tiles[tile] : SeenByTile{0, 0, 0, 0};
}

/// The rows that any of kGroupRows queries sees.
template <class T>
__device__ int2 seen_by_group(const AttentionView<T>& in, int tile) {
  SeenByTile one = seen_by_tile(in, 2 * tile), other = seen_by_tile(in, 2 * tile + 1);
  if (other.first >= other.last) return {one.first, one.last};
  if (one.first >= one.last) return {other.first, other.last};
  return {min(one.first, other.first), max(one.last, other.last)};
}

/// Called by one lane of a warp when all of the warp are done with a buffer: a barrier waits for kComputeWarps of them.
constexpr int kComputeWarps = 8;

/// Scores of keys, the first of which is `key`, become -inf where they lie behind all that a lane's rows see, or
/// before.
template <bool behind, int blocks>
__device__ void hide_unseen(const SeenKeys (&seen)[2], int key, float (&scores)[blocks][4]) {
  int column = key + 2 * (int(threadIdx.x) % 4);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    int edge = (behind ? seen[half].last : seen[half].first) - column;  // to compare with constants
#pragma unroll
    for (int i = 0; i < blocks; ++i)
#pragma unroll
      for (int c = 0; c < 2; ++c)
        if ((8 * i + c >= edge) == behind) scores[i][2 * half + c] = -INFINITY;
  }
}

/// The first address in shared memory that swizzled rows can begin at; kSharedSlack bytes more are needed.
constexpr int kSharedSlack = 1024;
__device__ inline bf16* aligned_shared(void* memory) {
  return reinterpret_cast<bf16*>(static_cast<char*>(memory) + (1024 - shared_address(memory) % 1024) % 1024);
}

}  // namespace lathe
