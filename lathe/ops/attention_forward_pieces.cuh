#pragma once
// What forward attention's groups that compute are handed: pieces of 64 queries a group of a head, and the tiles of
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

constexpr int kForwardKeys = 128;

/// Groups of a block that compute, and what they keep: queries in registers, or in shared memory, where the next ones
/// have another place. With heads of 64 a third group computes exponentials while two multiply, and they take turns.
template <int dim>
struct ForwardShape {
  static constexpr int kGroups = dim == 64 ? 3 : 2, kRows = 64 * kGroups, kThreads = 128 * (kGroups + 1);
  static constexpr int kWarps = 4 * kGroups, kStages = dim == 64 ? 4 : 2;
  static constexpr bool kHeld = kGroups == 2, kTurns = kGroups == 3;
  static constexpr int kSlots = kHeld ? 1 : 2;
  static constexpr int kCopyRegisters = kGroups == 2 ? 40 : 32, kRegisters = kGroups == 2 ? 232 : 160;
};

/// Queries [tile * kRows, ...) of a head; tile i of keys are the rows [end - (i + 1) * kForwardKeys, ...) of kv.
/// No tiles: there are no pieces any more.
struct alignas(16) ForwardPiece {
  int tile, head, end, tiles;
  GroupTiles of_group[3];
};

struct ForwardMaps {
  CUtensorMap q, k, v, out;  ///< of tiles of 64, kForwardKeys, kForwardKeys and 64 rows
};

/// Shared memory of a block.
template <int dim>
struct ForwardMemory {
  using Shape = ForwardShape<dim>;
  static constexpr int kGroups = Shape::kGroups, kStages = Shape::kStages, kSlots = Shape::kSlots;
  using Queries = SwizzledRows<64, dim>;
  using Keys = SwizzledRows<kForwardKeys, dim>;
  bf16 q[kGroups][kSlots][Queries::kValues];
  bf16 k[kStages][Keys::kValues], v[kStages][Keys::kValues];
  bf16 out[kGroups][Queries::kValues];
  SeenKeys rows[kGroups][kSlots][64];
  ForwardPiece pieces[2];
  uint64_t k_full[kStages], k_empty[kStages], v_full[kStages], v_empty[kStages];
  uint64_t q_full[kGroups][kSlots], q_empty[kGroups][kSlots], pieces_full[2], pieces_empty[2];

  /// By the whole block, once.
  __device__ void start() {
    if (threadIdx.x == 0) {
      constexpr int of_warps = Shape::kWarps * kWarpArrivals;
      for (int i = 0; i < kStages; ++i) {
        barrier_start(k_full + i, 1), barrier_start(v_full + i, 1);
        barrier_start(k_empty + i, of_warps), barrier_start(v_empty + i, of_warps);
      }
      for (int group = 0; group < kGroups; ++group)
        for (int i = 0; i < kSlots; ++i)
          barrier_start(q_full[group] + i, 1), barrier_start(q_empty[group] + i, 4 * kWarpArrivals);
      for (int i = 0; i < 2; ++i) barrier_start(pieces_full + i, 1), barrier_start(pieces_empty + i, of_warps + 1);
      show_barriers();
    }
    __syncthreads();
  }
};

/// `own` of a piece with `tiles` tiles that end at `end`; a group that sees nothing takes the first one, in vain.
__device__ inline GroupTiles tiles_of_group(const SeenByTile& own, int end) {
  if (own.first >= own.last) return {0, 1, 1, 0};
  auto tiles_from = [&](int key) { return (end - key + kForwardKeys - 1) / kForwardKeys; };  // with any key behind it
  int to = tiles_from(own.first);
  return {(end - own.last) / kForwardKeys, to, tiles_from(own.all_last), min((end - own.all_first) / kForwardKeys, to)};
}

template <int dim>
__device__ ForwardPiece piece_of(const AttentionView<bf16>& in, const GroupGrid& grid, int number) {
  constexpr int groups = ForwardShape<dim>::kGroups;
  auto [tile, head] = grid.tile_and_head(number);
  SeenByTile own[groups];
  int first = 0x7fffffff, last = 0;
#pragma unroll
  for (int group = 0; group < groups; ++group) {
    own[group] = seen_by_tile(in, groups * tile + group);
    if (own[group].first < own[group].last) first = min(first, own[group].first), last = max(last, own[group].last);
  }
  ForwardPiece piece{tile, head, last, last > 0 ? (last - first + kForwardKeys - 1) / kForwardKeys : 1, {}};
#pragma unroll
  for (int group = 0; group < groups; ++group) piece.of_group[group] = tiles_of_group(own[group], last);
  return piece;
}

/// By one thread. Which block takes which piece changes no result.
template <int dim>
__device__ void draw_pieces(const AttentionView<bf16>& in, const GroupGrid& grid, ForwardMemory<dim>& shared) {
  RingPlace<2> at;
  for (int number = int(blockIdx.x);; at.advance()) {
    bool any = number < grid.pieces();
    ForwardPiece piece = any ? piece_of<dim>(in, grid, number) : ForwardPiece{};
    at.wait_empty(shared.pieces_empty);
    shared.pieces[at.buffer] = piece;
    barrier_arrive(shared.pieces_full + at.buffer);
    if (!any) return;
    number = int(gridDim.x) + atomicAdd(in.intervals.taken, 1);
  }
}

/// The thread that copies. Keys of a tile come before values of the one before it: in this order they are multiplied.
/// Queries of the next piece are on their way as soon as those of this one are taken.
template <int dim>
class ForwardCopies {
 public:
  __device__ ForwardCopies(const AttentionView<bf16>& in, const ForwardMaps& maps, ForwardMemory<dim>& shared)
      : in_(in), maps_(maps), shared_(shared) {}

  __device__ void run() {
    for (next_piece(); piece_.tiles > 0;) {
      int tiles = piece_.tiles, key = piece_.end, column = piece_.head / in_.group * dim;
      bool is_next = false;  // piece_ is the next one
#pragma unroll 1
      for (int i = 0; i < tiles; ++i) {
        key -= kForwardKeys;
        at_.wait_empty(shared_.k_empty);
        copy(maps_.k, key, column, shared_.k[at_.buffer], shared_.k_full + at_.buffer);
        if (i == 0 && !queries_copied_) copy_queries();
        copy_values();
        before_ = at_, key_before_ = key, column_before_ = column;
        at_.advance();
        if (!is_next && i >= Memory::kStages && queries_are_taken()) next_piece(), copy_queries(), is_next = true;
      }
      if (!is_next) next_piece();
    }
    copy_values();
  }

 private:
  using Memory = ForwardMemory<dim>;

  __device__ void copy(const CUtensorMap& map, int key, int column, bf16* to, uint64_t* full) {
    barrier_expect(full, Memory::Keys::kValues * int(sizeof(bf16)));
    copy_tile<kForwardKeys, dim>(map, key, column, to, full);
  }
  /// The one after that whose keys are copied; its queries are not copied yet.
  __device__ void next_piece() {
    pieces_.wait_full(shared_.pieces_full);
    const ForwardPiece& piece = shared_.pieces[pieces_.buffer];
    piece_ = {piece.tile, piece.head, piece.end, piece.tiles};
    barrier_arrive(shared_.pieces_empty + pieces_.buffer);
    pieces_.advance();
    queries_copied_ = false;
  }
  __device__ bool queries_are_taken() const {
    bool are = true;
    for (int group = 0; group < Memory::kGroups; ++group)
      are = are && barrier_passed(shared_.q_empty[group] + slot_.buffer, slot_.parity ^ 1);
    return are;
  }
  /// Of piece_ and of all groups, with what each sees; of those past the last, zeros and whatever.
  __device__ void copy_queries() {
    constexpr int bytes = Memory::Queries::kValues * int(sizeof(bf16)), row_bytes = 64 * int(sizeof(SeenKeys));
    if (piece_.tiles == 0) return;
    for (int group = 0; group < Memory::kGroups; ++group) {
      int tile = Memory::kGroups * piece_.tile + group, slot = slot_.buffer;
      bool there = tile * 64 < in_.tokens;
      uint64_t* full = shared_.q_full[group] + slot;
      slot_.wait_empty(shared_.q_empty[group]);
      barrier_expect(full, bytes + (there ? row_bytes : 0));
      copy_tile<64, dim>(maps_.q, tile * 64, piece_.head * dim, shared_.q[group][slot], full);
      if (there) copy_bulk(in_.intervals.rows + tile * 64, shared_.rows[group][slot], row_bytes, full);
    }
    slot_.advance();
    queries_copied_ = true;
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
  struct {
    int tile, head, end, tiles;
  } piece_;
  RingPlace<2> pieces_;
  RingPlace<Memory::kStages> at_, before_;
  RingPlace<Memory::kSlots> slot_;
  int key_before_ = 0, column_before_ = -1;
  bool queries_copied_ = false;
};

}  // namespace lathe
