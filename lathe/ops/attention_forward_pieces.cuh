#pragma once
// What forward attention's groups that compute are handed: pieces of kGroupRows queries of a head, and the tiles of
// keys and values that any of these sees, from the last to the first. One thread of the block draws pieces, another
// copies.

#include "lathe/ops/attention_groups.cuh"
#include "lathe/ops/tile_copy.cuh"

namespace lathe {

/// A place in a ring of n buffers, and how often it went around.
template <int n>
struct RingPlace {
  int buffer = 0, parity = 0;

  __device__ void advance() {
    if (++buffer == n) buffer = 0, parity ^= 1;
  }
  /// Until the copying side has filled the buffer, or the computing side has left it.
  __device__ void wait_full(uint64_t* full) const { barrier_wait(full + buffer, parity); }
  __device__ void wait_empty(uint64_t* empty) const { barrier_wait(empty + buffer, parity ^ 1); }
};

/// Which of a piece's tiles of keys one group computes: [from, to), at least one. All of its queries see all keys of
/// [plain_from, plain_to).
struct alignas(16) GroupTiles {
  int from, to, plain_from, plain_to;
};

/// Queries [tile * kGroupRows, ...) of a head; tile i of keys are the rows [end - (i + 1) * kForwardKeys, ...) of kv.
/// No tiles: there are no pieces any more.
struct alignas(16) ForwardPiece {
  int tile, head, end, tiles;
  GroupTiles of_group[2];
};

constexpr int kForwardKeys = 128;

struct ForwardMaps {
  CUtensorMap q, k, v, out;  ///< of tiles of 64, kForwardKeys, kForwardKeys and 64 rows
};

/// Shared memory of a block.
template <int dim>
struct ForwardMemory {
  static constexpr int kStages = dim == 64 ? 4 : 2;
  using Queries = SwizzledRows<64, dim>;
  using Keys = SwizzledRows<kForwardKeys, dim>;
  bf16 q[2][Queries::kValues];  ///< of the groups
  bf16 k[kStages][Keys::kValues], v[kStages][Keys::kValues];
  bf16 out[2][Queries::kValues];
  SeenKeys rows[2][64];
  ForwardPiece pieces[2];
  uint64_t k_full[kStages], k_empty[kStages], v_full[kStages], v_empty[kStages];
  uint64_t q_full[2], q_empty[2], pieces_full[2], pieces_empty[2];

  /// By the whole block, once.
  __device__ void start() {
    if (threadIdx.x == 0) {
      for (int i = 0; i < kStages; ++i) {
        barrier_start(k_full + i, 1), barrier_start(v_full + i, 1);
        barrier_start(k_empty + i, kComputeWarps), barrier_start(v_empty + i, kComputeWarps);
      }
      for (int i = 0; i < 2; ++i) {
        barrier_start(q_full + i, 1), barrier_start(q_empty + i, kComputeWarps / 2);
        barrier_start(pieces_full + i, 1), barrier_start(pieces_empty + i, kComputeWarps + 1);
      }
      show_barriers();
    }
    __syncthreads();
  }
};

/// `own` of a piece with `tiles` tiles that end at `end`; a group that sees nothing takes the first one, in vain.
__device__ inline GroupTiles tiles_of_group(const SeenByTile& own, int end) {
  if (own.first >= own.last) return {0, 1, 0, 0};
  auto tiles_from = [&](int key) { return (end - key + kForwardKeys - 1) / kForwardKeys; };  // with any key behind it
  int to = tiles_from(own.first);
  return {(end - own.last) / kForwardKeys, to, tiles_from(own.all_last), min((end - own.all_first) / kForwardKeys, to)};
}

__device__ inline ForwardPiece piece_of(const AttentionView<bf16>& in, const GroupGrid& grid, int number) {
  auto [tile, head] = grid.tile_and_head(number);
  int2 hull = seen_by_group(in, tile);
  int tiles = max((hull.y - hull.x + kForwardKeys - 1) / kForwardKeys, 1);
  return {tile,
          head,
          hull.y,
          tiles,
          {tiles_of_group(seen_by_tile(in, 2 * tile), hull.y), tiles_of_group(seen_by_tile(in, 2 * tile + 1), hull.y)}};
}

/// By one thread. Which block takes which piece changes no result.
template <int dim>
__device__ void draw_pieces(const AttentionView<bf16>& in, const GroupGrid& grid, ForwardMemory<dim>& shared) {
  RingPlace<2> at;
  for (int number = int(blockIdx.x);; at.advance()) {
    bool any = number < grid.pieces();
    ForwardPiece piece = any ? piece_of(in, grid, number) : ForwardPiece{};
    at.wait_empty(shared.pieces_empty);
    shared.pieces[at.buffer] = piece;
    barrier_arrive(shared.pieces_full + at.buffer);
    if (!any) return;
    number = int(gridDim.x) + atomicAdd(in.intervals.taken, 1);
  }
}

/// The thread that copies. Keys of a tile come before values of the one before it: in this order they are multiplied.
template <int dim>
class ForwardCopies {
 public:
  __device__ ForwardCopies(const AttentionView<bf16>& in, const ForwardMaps& maps, ForwardMemory<dim>& shared)
      : in_(in), maps_(maps), shared_(shared) {}

  __device__ void run() {
    RingPlace<2> pieces;
    for (;; pieces.advance(), ++taken_) {
      pieces.wait_full(shared_.pieces_full);
      const ForwardPiece& piece = shared_.pieces[pieces.buffer];
      int tile = piece.tile, head = piece.head, key = piece.end, tiles = piece.tiles;
      barrier_arrive(shared_.pieces_empty + pieces.buffer);
      if (tiles == 0) return copy_values();
      int column = head / in_.group * dim;
#pragma unroll 1
      for (int i = 0; i < tiles; ++i) {
        key -= kForwardKeys;
        at_.wait_empty(shared_.k_empty);
        copy(maps_.k, key, column, shared_.k[at_.buffer], shared_.k_full + at_.buffer);
        if (i == 0)
          for (int group = 0; group < 2; ++group) copy_queries(2 * tile + group, head, group);
        copy_values();
        before_ = at_, key_before_ = key, column_before_ = column;
        at_.advance();
      }
    }
  }

 private:
  using Memory = ForwardMemory<dim>;

  __device__ void copy(const CUtensorMap& map, int key, int column, bf16* to, uint64_t* full) {
    barrier_expect(full, Memory::Keys::kValues * int(sizeof(bf16)));
    copy_tile<kForwardKeys, dim>(map, key, column, to, full);
  }
  /// 64 of them and what each sees; of those past the last, zeros and whatever.
  __device__ void copy_queries(int tile, int head, int group) {
    constexpr int bytes = Memory::Queries::kValues * int(sizeof(bf16)), row_bytes = 64 * int(sizeof(SeenKeys));
    bool there = tile * 64 < in_.tokens;
    barrier_wait(shared_.q_empty + group, taken_ % 2 ^ 1);
    barrier_expect(shared_.q_full + group, bytes + (there ? row_bytes : 0));
    copy_tile<64, dim>(maps_.q, tile * 64, head * dim, shared_.q[group], shared_.q_full + group);
    if (there) copy_bulk(in_.intervals.rows + tile * 64, shared_.rows[group], row_bytes, shared_.q_full + group);
  }
  /// Of the tile whose keys were copied last.
  __device__ void copy_values() {
    if (column_before_ < 0) return;
    before_.wait_empty(shared_.v_empty);
    copy(maps_.v, key_before_, column_before_, shared_.v[before_.buffer], shared_.v_full + before_.buffer);
  }

  const AttentionView<bf16>& in_;
  const ForwardMaps& maps_;
  ForwardMemory<dim>& shared_;
  RingPlace<Memory::kStages> at_, before_;
  int taken_ = 0, key_before_ = 0, column_before_ = -1;
};

}  // namespace lathe
