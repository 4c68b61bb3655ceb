#pragma once
// What the backward kernel for warpgroups does step by step: a piece of work is kGroupRows keys of a key head, a step
// of it a tile of queries of a head that see any of them. One thread of a block copies what steps read, two add their
// gradients of queries to sums in global memory, in the order of the keys: blocks wait for their turns, so that the
// bits are the same every time (as in Dao 2023). A warp writes dq of complete sums. Pieces are taken in the
// order of the turns and walk queries from the last to the first: who comes earlier at a tile of queries began earlier,
// and no block waits for one that waits for it.

#include "lathe/ops/attention_backward.cuh"
#include "lathe/ops/attention_groups.cuh"
#include "lathe/ops/tile_copy.cuh"
#include "lathe/tensor/dependent.cuh"

namespace lathe {

/// Extents of steps. kStages of them are copied ahead, keys of two pieces, and values of kValues.
template <int dim>
struct BackwardSteps {
  static constexpr int kQueries = dim == 64 ? 128 : 64, kStages = 2, kKeys = 2, kValues = dim == 64 ? 2 : 1;
  static constexpr int kSums = kQueries * dim;  ///< of the queries of a step, in parts of 64 x 64, one a group
};
constexpr int kSumsPart = 64 * 64;

/// The tensors as they are copied: tiles of a step's queries, and of a piece's keys; of dk and dv a group's.
struct BackwardMaps {
  CUtensorMap q, k, v, dout, dk, dv;
};

/// Where a query's gradients are summed, and what else backward prepares. Tiles are of kQueries queries.
struct BackwardSums {
  int tiles;
  float* statistics;  ///< [heads, tiles, 2, kQueries]: logsumexp in units of log 2, and delta; 0 past the last query
  int2* walks;        ///< [key tiles of kGroupRows]: tiles [first, last) of queries, all that see any of the keys
  int4* order;        ///< [key tiles]: which is taken when, and its walk
  int* turns;         ///< [heads, tiles, parts]: the tile of keys, from the first on that is seen, that adds next
  float* sums;        ///< [heads, tiles, kSums], parts in the order of registers
};

/// What any of `queries` (64 or 128) queries sees, and what all of them see.
template <int queries>
__device__ SeenByTile seen_by_queries(const AttentionView<bf16>& in, int tile) {
  if constexpr (queries == kIntervalTile) return seen_by_tile(in, tile);
  SeenByTile one = seen_by_tile(in, 2 * tile), other = seen_by_tile(in, 2 * tile + 1);
  int2 hull = seen_by_group(in, tile);
  return {hull.x, hull.y, max(one.all_first, other.all_first), min(one.all_last, other.all_last)};
}

__device__ inline bool sees_keys(const SeenByTile& seen, int first, int count) {
  return seen.first < seen.last && seen.first < first + count && first < seen.last;
}

/// What threads of a block are told of a step.
struct alignas(16) Step {
  /// all_seen: by the first group, then 32; final: nobody adds to these queries later.
  enum Flags : int { first = 1, last = 2, final = 4, end = 8, all_seen = 16 };
  int tile, head, flags, turn;
  int keys, kv_head;  ///< the piece
};

/// A tile of queries of a head whose sums are complete, at the end tile -1: handed on in shared memory, two at a time.
struct SummedQueries {
  uint64_t full[2], empty[2];
  int2 queries[2];

  __device__ void start() {
    for (int i = 0; i < 2; ++i) barrier_start(full + i, 1), barrier_start(empty + i, kWarpArrivals);
  }
  __device__ void put(int n, int2 tile_and_head) {
    Turn<2> at(n);
    at.wait_empty(empty);
    queries[at.buffer] = tile_and_head;
    barrier_arrive(full + at.buffer);
  }
  /// By a warp.
  __device__ int2 take(int n) {
    Turn<2> at(n);
    at.wait_full(full);
    int2 tile_and_head = queries[at.buffer];
    barrier_arrive_warp(empty + at.buffer);
    return tile_and_head;
  }
};

/// Shared memory: keys and values; queries and dout of each stage; gradients of scores; sums of queries; statistics and
/// what queries see; steps; barriers.
template <int dim>
struct BackwardShared {
  using Steps = BackwardSteps<dim>;
  static constexpr int kQueries = Steps::kQueries, kStages = Steps::kStages;
  using Kept = SwizzledRows<kGroupRows, dim>;
  using Walked = SwizzledRows<kQueries, dim>;
  using Scores = SwizzledRows<kGroupRows, kQueries>;
  static constexpr int kBarriers = 2 * (kStages + Steps::kKeys + Steps::kValues) + 5;
  static constexpr int kKept = (Steps::kKeys + Steps::kValues) * Kept::kValues;
  static constexpr int kBytes =
      kSharedSlack + (kKept + 2 * kStages * Walked::kValues + Scores::kValues) * int(sizeof(bf16)) +
      (Steps::kSums + 2 * kStages * kQueries) * int(sizeof(float)) + kStages * kQueries * int(sizeof(SeenKeys)) +
      kStages * int(sizeof(Step)) + kBarriers * int(sizeof(uint64_t)) + 2 * int(sizeof(SummedQueries));
  static_assert(kBytes <= kMostShared);

  __device__ explicit BackwardShared(void* memory)
      : kept(aligned_shared(memory)),
        walked(kept + kKept),
        scores(walked + 2 * kStages * Walked::kValues),
        sums(reinterpret_cast<float*>(scores + Scores::kValues)),
        statistics(sums + Steps::kSums),
        rows(reinterpret_cast<SeenKeys*>(statistics + 2 * kStages * kQueries)),
        steps(reinterpret_cast<Step*>(rows + kStages * kQueries)),
        summed(reinterpret_cast<SummedQueries*>(steps + kStages)),
        full(reinterpret_cast<uint64_t*>(summed + 2)),
        empty(full + kStages),
        keys_full(empty + kStages),
        keys_empty(keys_full + Steps::kKeys),
        values_full(keys_empty + Steps::kKeys),
        values_empty(values_full + Steps::kValues),
        scores_empty(values_empty + Steps::kValues),
        sums_full(scores_empty + 1),
        sums_empty(sums_full + 2) {}

  /// By the whole block, once.
  __device__ void start() const {
    if (threadIdx.x == 0) {
      constexpr int of_warps = kComputeWarps * kWarpArrivals;
      for (int i = 0; i < kStages; ++i) barrier_start(full + i, 1), barrier_start(empty + i, of_warps + 2);
      for (int i = 0; i < Steps::kKeys; ++i) barrier_start(keys_full + i, 1), barrier_start(keys_empty + i, 2);
      for (int i = 0; i < Steps::kValues; ++i)
        barrier_start(values_full + i, 1), barrier_start(values_empty + i, Steps::kValues == 1 ? of_warps : 2);
      barrier_start(scores_empty, of_warps);
      for (int i = 0; i < 2; ++i) {
        barrier_start(sums_full + i, of_warps / 2), barrier_start(sums_empty + i, 1);
        summed[i].start();
      }
      show_barriers();
    }
    __syncthreads();
  }
  __device__ bf16* keys(int buffer) const { return kept + buffer * Kept::kValues; }
  __device__ bf16* values(int buffer) const { return kept + (Steps::kKeys + buffer) * Kept::kValues; }
  __device__ bf16* walked_matrix(int buffer, int which) const {
    return walked + (2 * buffer + which) * Walked::kValues;
  }
  __device__ float* statistics_of(int buffer) const { return statistics + buffer * 2 * kQueries; }

  bf16 *kept, *walked, *scores;
  float *sums, *statistics;
  SeenKeys* rows;
  Step* steps;
  SummedQueries* summed;  ///< of each group's part
  uint64_t *full, *empty, *keys_full, *keys_empty, *values_full, *values_empty, *scores_empty, *sums_full, *sums_empty;
};

/// The thread that takes pieces, finds their steps and copies what they read.
template <int dim>
struct BackwardCopy {
  using Shared = BackwardShared<dim>;
  static constexpr int kQueries = Shared::kQueries, kKeptBytes = Shared::Kept::kValues * int(sizeof(bf16));
  const AttentionView<bf16>& in;
  const BackwardSums& to;
  const BackwardMaps& maps;
  const Shared& shared;
  int steps = 0, pieces = 0, drawn = 0;

  __device__ void keys(const Step& step) const {
    Turn<Shared::Steps::kKeys> at(pieces);
    at.wait_empty(shared.keys_empty);
    barrier_expect(shared.keys_full + at.buffer, kKeptBytes);
    copy_tile<kGroupRows, dim>(maps.k, step.keys * kGroupRows, step.kv_head * dim, shared.keys(at.buffer),
                               shared.keys_full + at.buffer);
  }
  __device__ void values(const Step& step) const {
    Turn<Shared::Steps::kValues> at(pieces);
    at.wait_empty(shared.values_empty);
    barrier_expect(shared.values_full + at.buffer, kKeptBytes);
    copy_tile<kGroupRows, dim>(maps.v, step.keys * kGroupRows, step.kv_head * dim, shared.values(at.buffer),
                               shared.values_full + at.buffer);
  }
  __device__ void queries(const Step& step, int buffer) const {
    constexpr int matrix = Shared::Walked::kValues * int(sizeof(bf16)), statistics = 2 * kQueries * int(sizeof(float));
    constexpr int rows = kQueries * int(sizeof(SeenKeys)), seen = 3 * Step::all_seen;
    uint64_t* full = shared.full + buffer;
    shared.steps[buffer] = step;
    if (step.flags & Step::end) return barrier_arrive(full);
    bool hides = (step.flags & seen) != seen;
    barrier_expect(full, 2 * matrix + statistics + (hides ? rows : 0));
    int query = step.tile * kQueries, column = step.head * dim;
    copy_tile<kQueries, dim>(maps.q, query, column, shared.walked_matrix(buffer, 0), full);
    copy_bulk(to.statistics + (int64_t(step.head) * to.tiles + step.tile) * 2 * kQueries, shared.statistics_of(buffer),
              statistics, full);
    if (hides) copy_bulk(in.intervals.rows + query, shared.rows + buffer * kQueries, rows, full);
    copy_tile<kQueries, dim>(maps.dout, query, column, shared.walked_matrix(buffer, 1), full);
  }

  __device__ void push(const Step& step) {
    Turn<Shared::kStages> at(steps++);
    bool first = step.flags & Step::first;
    if (first && Shared::Steps::kValues == 2) values(step);
    if (first) keys(step);
    at.wait_empty(shared.empty);
    queries(step, at.buffer);
    if (first && Shared::Steps::kValues == 1) values(step);
    if (first) ++pieces;
  }

  /// A tile of queries, of each head.
  __device__ void walk(int tile, int keys, int kv_head, int2 range) {
    SeenByTile seen = seen_by_queries<kQueries>(in, tile);
    int first_key = keys * kGroupRows, first_head = kv_head * in.group, last_head = first_head + in.group - 1;
    if (!sees_keys(seen, first_key, kGroupRows)) return;
    int turn = keys - seen.first / kGroupRows, flags = (seen.last - 1) / kGroupRows == keys ? Step::final : 0;
    for (int group = 0; group < 2; ++group)
      if (seen.all_first <= first_key + group * 64 && first_key + group * 64 + 64 <= seen.all_last)
        flags |= Step::all_seen << group;
#pragma unroll 1
    for (int head = first_head; head <= last_head; ++head) {
      int ends = tile == range.y - 1 && head == first_head ? Step::first : 0;
      if (tile == range.x && head == last_head) ends |= Step::last, draw();
      push({tile, head, flags | ends, turn, keys, kv_head});
    }
  }

  /// The next piece, before it is wanted.
  __device__ void draw() { drawn = atomicAdd(in.intervals.taken, 1); }

  __device__ void run(const GroupGrid& grid) {
    for (draw(); drawn < grid.pieces();) {
      int2 at = grid.tile_and_head(drawn);
      int4 piece = to.order[grid.tiles - 1 - at.x];
      if (piece.y >= piece.z) draw();  // nobody sees these keys
#pragma unroll 1
      for (int tile = piece.z - 1; tile >= piece.y; --tile) walk(tile, piece.x, at.y, {piece.y, piece.z});
    }
    push({0, 0, Step::end, 0, 0, 0});
  }
};

/// The thread that adds a group's part to the sums of queries, in turn.
template <int dim>
__device__ void add_in_turn(const BackwardSums& to, const BackwardShared<dim>& shared, int group) {
  using Shared = BackwardShared<dim>;
  constexpr int bytes = kSumsPart * int(sizeof(float));
  const float* sums = shared.sums + group * kSumsPart;
  auto place_of = [&](const Step& step) { return (int64_t(step.head) * to.tiles + step.tile) * 2 + group; };
  auto take = [&](int n, int& turn) {
    Turn<Shared::kStages> at(n);
    at.wait_full(shared.full);
    Step step = shared.steps[at.buffer];
    barrier_arrive(shared.empty + at.buffer);
    turn = load_acquire(to.turns + place_of(step));
    return step;
  };
  int complete = 0, turn;
  Step step = take(0, turn), next;
  for (int steps = 0; !(step.flags & Step::end); step = next, ++steps) {
    int64_t place = place_of(step);
    while (turn != step.turn) turn = load_acquire(to.turns + place);
    show_to_copies();
    Turn<1>(steps).wait_full(shared.sums_full + group);
    if (step.turn > 0)
      add_bulk(sums, to.sums + place * kSumsPart, bytes);
    else
      store_bulk(sums, to.sums + place * kSumsPart, bytes);
    store_bulk_commit();
    store_bulk_wait_read();
    barrier_arrive(shared.sums_empty + group);
    Turn<Shared::kStages> after(steps + 1);
    bool there = barrier_passed(shared.full + after.buffer, after.parity);
    if (there) next = take(steps + 1, turn);
    store_bulk_wait();
    store_release(to.turns + place, step.turn + 1);
    if (step.flags & Step::final) shared.summed[group].put(complete++, {step.tile, step.head});
    if (!there) next = take(steps + 1, turn);
  }
  shared.summed[group].put(complete, {-1, 0});
}

/// Writes a lane's part of [16, 64] sums, as they lie, times `scale`, to rows `row` elements apart, below `limit`:
/// lanes trade with their neighbours, so that each has 8 bytes of a row and four of them 32.
__device__ inline void store_sums_paired(const float (&sums)[8][4], float scale, int limit, int64_t row, bf16* to) {
  int lane = int(threadIdx.x) % 32;
  bool odd = lane % 2;
  to += 4 * (lane % 4 / 2) + (odd ? 8 : 0);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    int r = lane / 4 + 8 * half;
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
      unsigned even_block = packed_pair(sums[i][2 * half] * scale, sums[i][2 * half + 1] * scale);
      unsigned odd_block = packed_pair(sums[i + 1][2 * half] * scale, sums[i + 1][2 * half + 1] * scale);
      unsigned other = __shfl_xor_sync(~0u, odd ? even_block : odd_block, 1);
      uint2 four = odd ? uint2{other, odd_block} : uint2{even_block, other};
      if (r < limit) *reinterpret_cast<uint2*>(to + r * row + 8 * i) = four;
    }
  }
}

/// The warp that turns complete sums into dq.
template <int dim>
__device__ void finish_queries(const BackwardView<bf16>& view, const BackwardSums& from,
                               const BackwardShared<dim>& shared) {
  const AttentionView<bf16>& in = view.in;
  int lane = int(threadIdx.x) % 32;
  for (int n = 0;; ++n) {
    int group = n % 2;
    auto [tile, head] = shared.summed[group].take(n / 2);
    if (tile < 0) return;
    const float4* part =
        reinterpret_cast<const float4*>(from.sums + ((int64_t(head) * from.tiles + tile) * 2 + group) * kSumsPart);
    for (int warp = 0; warp < 4; ++warp) {  // as it was
      int query = (dim == 64 ? 2 * tile + group : tile) * 64 + warp * 16, column = dim == 64 ? 0 : group * 64;
      float sums[8][4];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float4 four = __ldcg(part + i * 128 + warp * 32 + lane);
        sums[i][0] = four.x, sums[i][1] = four.y, sums[i][2] = four.z, sums[i][3] = four.w;
      }
      store_sums_paired(sums, in.scale, in.tokens - query, in.query_row,
                        view.dq + query * in.query_row + head * dim + column);
    }
  }
}

/// Statistics of a query and head, by dim / 8 neighbouring threads each; for the rows of tiles that are no queries too.
/// Launched early behind kernels that touch nothing it does, the first of which was launched as usual: it does not wait
/// for them, but ends after them.
template <int dim>
__global__ void attention_statistics(BackwardView<bf16> view, const bf16* out, BackwardSums to) {
  let_later_kernels_begin();
  constexpr int lanes = dim / 8, queries = BackwardSteps<dim>::kQueries;
  const AttentionView<bf16>& in = view.in;
  int64_t row = (blockIdx.x * int64_t(blockDim.x) + threadIdx.x) / lanes, from = row * dim + threadIdx.x % lanes * 8;
  int token = int(row / in.heads), head = int(row % in.heads);
  float sum = 0, logsumexp = 0;
  if (token < in.tokens) {
    float one[8], other[8];
    load(out + from, one);
    load(view.dout + from, other);
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += one[i] * other[i];
    logsumexp = view.logsumexp[int64_t(head) * in.tokens + token] * kLog2E;
  }
#pragma unroll
  for (int distance = lanes / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
  if (token < to.tiles * queries && threadIdx.x % lanes == 0) {
    float* at = to.statistics + (int64_t(head) * to.tiles + token / queries) * 2 * queries + token % queries;
    at[0] = logsumexp, at[queries] = sum;
  }
  if (blockIdx.x + 1 == gridDim.x) wait_for_earlier_kernels();
}

/// Rows of zeros, of `columns` values, by the threads of a warp.
__device__ inline void clear_rows(bf16* to, int rows, int columns, int64_t row) {
  for (int r = 0; r < rows; ++r)
    for (int i = int(threadIdx.x) % 32 * 8; i < columns; i += 32 * 8)
      *reinterpret_cast<uint4*>(to + r * row + i) = uint4{0, 0, 0, 0};
}

/// Walks, by a warp for each tile of keys; turns, from 0 on; zeros as gradients of keys that nobody sees and of tiles
/// of queries that see nothing.
template <int dim>
__global__ void attention_walks(BackwardView<bf16> view, BackwardSums to, int key_tiles) {
  constexpr int queries = BackwardSteps<dim>::kQueries;
  take_turn();
  const AttentionView<bf16>& in = view.in;
  int thread = int(blockIdx.x * blockDim.x + threadIdx.x), warps = int(gridDim.x * blockDim.x) / 32;
  int kv_columns = in.heads / in.group * dim;
  for (int i = thread; i < to.tiles * in.heads * 2; i += warps * 32) to.turns[i] = 0;
  for (int tile = thread / 32; tile < to.tiles; tile += warps) {
    SeenByTile seen = seen_by_queries<queries>(in, tile);
    int query = tile * queries;
    if (seen.first >= seen.last)
      clear_rows(view.dq + query * in.query_row, min(queries, in.tokens - query), in.heads * dim, in.query_row);
  }
  for (int keys = thread / 32; keys < key_tiles; keys += warps) {
    int first = 0x7fffffff, last = 0, key = keys * kGroupRows, rows = min(kGroupRows, in.memory_tokens - key);
    for (int tile = thread % 32; tile < to.tiles; tile += 32)
      if (sees_keys(seen_by_queries<queries>(in, tile), key, kGroupRows))
        first = min(first, tile), last = max(last, tile + 1);
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      first = min(first, __shfl_xor_sync(~0u, first, distance));
      last = max(last, __shfl_xor_sync(~0u, last, distance));
    }
    if (thread % 32 == 0) to.walks[keys] = {min(first, last), last};
    if (last > 0) continue;
    clear_rows(view.dk + key * in.key_row, rows, kv_columns, in.key_row);
    clear_rows(view.dv + key * in.key_row, rows, kv_columns, in.key_row);
  }
}

constexpr int kMostOrdered = 1024;

/// In which order tiles of keys are taken. Those of a chain share queries with the next one; chains go by bands of
/// `band`, in which tiles with long walks come first, or with long ones in their chain behind them: never before an
/// earlier tile of the chain. One block, of a thread for each tile up to kMostOrdered; more tiles keep their order.
__global__ void __launch_bounds__(kMostOrdered) attention_order(BackwardSums to, int key_tiles, int band) {
  __shared__ int chains[kMostOrdered], longest[kMostOrdered];
  take_turn();
  int keys = int(threadIdx.x), threads = int(blockDim.x);
  if (key_tiles > threads) {
    for (; keys < key_tiles; keys += threads) to.order[keys] = {keys, to.walks[keys].x, to.walks[keys].y, 0};
    return;
  }
  int2 walk = keys < key_tiles ? to.walks[keys] : int2{0, 0};
  int chain = keys > 0 && keys < key_tiles && walk.x >= to.walks[keys - 1].y, most = walk.y - walk.x;
  chains[keys] = chain;
  for (int distance = 1; distance < key_tiles; distance *= 2) {
    __syncthreads();
    int before = keys >= distance ? chains[keys - distance] : 0;
    __syncthreads();
    chains[keys] = chain += before;
  }
  longest[keys] = most;
  for (int distance = 1; distance < key_tiles; distance *= 2) {
    __syncthreads();
    int behind = keys + distance < key_tiles && chains[keys + distance] == chain ? longest[keys + distance] : 0;
    __syncthreads();
    longest[keys] = most = max(most, behind);
  }
  __syncthreads();
  longest[keys] = most -= chain / band * (1 << 20);  // chain / band is less than kMostOrdered
  __syncthreads();
  if (keys >= key_tiles) return;
  int rank = 0;
#pragma unroll 8
  for (int i = 0; i < key_tiles; ++i) rank += longest[i] > most || (longest[i] == most && i < keys);
  to.order[rank] = {keys, walk.x, walk.y, 0};
}

}  // namespace lathe
