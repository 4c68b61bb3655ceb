#pragma once
// Products with several rows and a depth of one or two pieces: x stays in registers for all tiles of a block. Read
// again for every tile it would be up to twice the bytes of the weight, and the card's cache gives 5.6 TB/s of both
// together (measured on an H200). Tiles, warps and the order of sums are those of multiply_by_ring(), bit for bit;
// other warps add and write sums while the next tile is multiplied. Where the product is gated, a tile is half gates
// and half what they gate, so that one thread has both.

#include "lathe/ops/matmul_ring.cuh"

namespace lathe {

constexpr int kMostHeldDepth = 2 * kPieceDepth;
constexpr int kGateColumns = kWeightRows / 2;  ///< of a tile: as many gates, and then what they gate

/// A weight [columns, depth], row after row.
struct HeldWeight {
  const __nv_bfloat16* data;
  bool is_constant;  ///< no kernel of this program writes it, so it may be read before earlier kernels end
};

/// A block has kRingWarps warps that multiply, one that copies the weight and some that finish tiles.
template <int row_tiles_, int pieces_ = 2, bool gating_ = false>
struct Holding {
  static constexpr bool gating = gating_;  ///< writes what gated_activate() makes of the product
  static constexpr int row_tiles = row_tiles_, pieces = pieces_, weight_tiles = 1;
  static constexpr int columns = kWeightRows, rows = kNarrowRows * row_tiles;
  static constexpr int finishing_warps = 3, threads = 32 * (kRingWarps + 1 + finishing_warps);
  /// From one row of a stage to the next: 64 more than a multiple of 128, so that a warp's reads of eight rows meet no
  /// bank twice.
  static constexpr int row_bytes = kPieceDepth * int(sizeof(__nv_bfloat16)) + 64;
  static constexpr int stages = 4, stage_bytes = kWeightRows * row_bytes;
  static constexpr int tile_sums = rows * kPaddedSums, sums = kRingWarps * tile_sums, sum_buffers = 2;
  static constexpr int quads = rows * columns / 4;  ///< of a tile: four neighbouring columns of a row
  static constexpr int quads_of_thread = (quads + 32 * finishing_warps - 1) / (32 * finishing_warps);
  static constexpr int barriers = 2 * (stages + sum_buffers);
  static constexpr int shared_bytes =
      stages * stage_bytes + sum_buffers * sums * int(sizeof(float)) + barriers * int(sizeof(uint64_t));
};

/// Shared memory of a block.
template <class S>
struct HeldMemory {
  std::byte* stages;  ///< [stages][stage_bytes]
  float* sums;        ///< [sum_buffers][warps][rows][kPaddedSums]
  uint64_t *full, *empty, *sums_full, *sums_empty;

  __device__ explicit HeldMemory(void* memory)
      : stages(static_cast<std::byte*>(memory)),
        sums(reinterpret_cast<float*>(stages + S::stages * S::stage_bytes)),
        full(reinterpret_cast<uint64_t*>(sums + S::sum_buffers * S::sums)),
        empty(full + S::stages),
        sums_full(empty + S::stages),
        sums_empty(sums_full + S::sum_buffers) {}
  __device__ void start_barriers() const {
    for (int i = 0; i < S::stages; ++i)
      barrier_start(full + i, 1), barrier_start(empty + i, kRingWarps * kWarpArrivals);
    for (int i = 0; i < S::sum_buffers; ++i)
      barrier_start(sums_full + i, kRingWarps * kWarpArrivals),
          barrier_start(sums_empty + i, S::finishing_warps * kWarpArrivals);
  }
};

/// Use `number` of `count` stages or buffers in turns: which one, and its barriers' parity.
template <int count>
struct Place {
  int index, parity;
  __device__ explicit Place(int number)
      : index(int(unsigned(number) % count)), parity(int(unsigned(number) / count % 2)) {}
};

/// Tiles of this block.
__device__ inline int tiles_of_block(const NarrowProduct& p) {
  return ((p.columns + kWeightRows - 1) / kWeightRows - int(blockIdx.x) + int(gridDim.x) - 1) / int(gridDim.x);
}
/// Where tile `number` of this block begins, of `columns` columns of out.
__device__ inline int first_column(int number, int columns = kWeightRows) {
  return (number * int(gridDim.x) + int(blockIdx.x)) * columns;
}

/// By a warp, a row a lane.
template <class S>
__device__ void copy_tiles(const NarrowProduct& p, const HeldWeight& weight, const HeldMemory<S>& memory) {
  if (!weight.is_constant) wait_for_earlier_kernels();
  uint64_t policy = read_once_policy();
  int lane = int(threadIdx.x) % 32, pieces = S::pieces * tiles_of_block(p);
  for (int i = 0; i < pieces; ++i) {
    Place<S::stages> stage(i);
    int first = first_column(i / S::pieces), k = i % S::pieces * kPieceDepth, row = first + lane;
    if (S::gating) row = first / 2 + lane % kGateColumns + lane / kGateColumns * p.width();
    int rows = min(kWeightRows, p.columns - first), bytes = min(kPieceDepth, p.depth - k) * int(sizeof(__nv_bfloat16));
    barrier_wait(memory.empty + stage.index, stage.parity ^ 1);
    if (lane == 0) barrier_expect(memory.full + stage.index, rows * bytes);
    __syncwarp();
    if (lane < rows)
      copy_bulk(weight.data + int64_t(row) * p.depth + k,
                memory.stages + stage.index * S::stage_bytes + lane * S::row_bytes, bytes, memory.full + stage.index,
                policy);
  }
  if (weight.is_constant) wait_for_earlier_kernels();
}

template <class S>
using HeldPiece = uint4[kPieceSteps][S::row_tiles];

/// Of each row it holds, a lane has eight neighbouring elements of a step. That they are others than the mma's picture
/// says does not matter, as x and weight agree.
__device__ inline int depth_of_lane() {
  return int(threadIdx.x) / 32 * kPieceSteps * kDepthStep + int(threadIdx.x) % 4 * 8;
}

/// x of a warp's part of the piece at k; zeros where there are none.
template <class S>
__device__ void hold(const NarrowProduct& p, int k, HeldPiece<S>& x) {
#pragma unroll
  for (int s = 0; s < kPieceSteps; ++s)
#pragma unroll
    for (int j = 0; j < S::row_tiles; ++j) {
      int row = int(threadIdx.x) % 32 / 4 + kNarrowRows * j, depth = k + depth_of_lane() + s * kDepthStep;
      bool any = depth < p.depth && row < p.rows;
      x[s][j] = any ? *reinterpret_cast<const uint4*>(p.x + row * p.depth + depth) : uint4{0, 0, 0, 0};
    }
}

/// sums += the piece of a tile that lies in `stage`, `left` elements of depth, times x.
template <class S>
__device__ void multiply_piece(const std::byte* stage, int left, const HeldPiece<S>& x, RingSums<S>& sums) {
  stage += int(threadIdx.x) % 32 / 4 * S::row_bytes + depth_of_lane() * int(sizeof(__nv_bfloat16));
#pragma unroll
  for (int s = 0; s < kPieceSteps; ++s) {
    bool any = depth_of_lane() < left - s * kDepthStep;
    const std::byte* from = stage + s * kDepthStep * int(sizeof(__nv_bfloat16));
    uint4 none{0, 0, 0, 0}, w = any ? *reinterpret_cast<const uint4*>(from) : none;
    uint4 below = any ? *reinterpret_cast<const uint4*>(from + 8 * S::row_bytes) : none;
#pragma unroll
    for (int j = 0; j < S::row_tiles; ++j) {
      multiply_add<__nv_bfloat16>(sums[0][j], w.x, below.x, w.y, below.y, x[s][j].x, x[s][j].y);
      multiply_add<__nv_bfloat16>(sums[0][j], w.z, below.z, w.w, below.w, x[s][j].z, x[s][j].w);
    }
  }
}

/// By kRingWarps warps.
template <class S>
__device__ void multiply_tiles(const NarrowProduct& p, const HeldMemory<S>& memory) {
  int warp = int(threadIdx.x) / 32, tiles = tiles_of_block(p);
  wait_for_earlier_kernels();
  HeldPiece<S> x[S::pieces];
#pragma unroll
  for (int i = 0; i < S::pieces; ++i) hold<S>(p, i * kPieceDepth, x[i]);
#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
    RingSums<S> sums = {};
#pragma unroll
    for (int i = 0; i < S::pieces; ++i) {
      Place<S::stages> stage(S::pieces * tile + i);
      barrier_wait(memory.full + stage.index, stage.parity);
      multiply_piece<S>(memory.stages + stage.index * S::stage_bytes, p.depth - i * kPieceDepth, x[i], sums);
      barrier_arrive_warp(memory.empty + stage.index);
    }
    Place<S::sum_buffers> buffer(tile);
    barrier_wait(memory.sums_empty + buffer.index, buffer.parity ^ 1);
    put_sums<S>(sums, memory.sums + (buffer.index * kRingWarps + warp) * S::tile_sums, 0);
    barrier_arrive_warp(memory.sums_full + buffer.index);
  }
}

/// Four neighbouring columns of a row, and what is added to them: read early, so that it comes while sums do.
template <class Out>
struct Quad {
  int row, column;
  bool any, whole;  ///< `whole`: all four exist, and can be touched at once
  Pack<Out, 4> residual;

  __device__ void begin(const NarrowProduct& p, bool aligned, int row_, int column_) {
    row = row_, column = column_;
    any = row < p.rows && column < p.columns, whole = aligned && column + 4 <= p.columns;
    if (any && p.residual) residual = read(p, p.residual);
  }
  __device__ int64_t at(const NarrowProduct& p) const { return int64_t(row) * p.out_columns + p.first_column + column; }
  __device__ Pack<Out, 4> read(const NarrowProduct& p, const std::byte* from) const {
    auto* first = reinterpret_cast<const Out*>(from) + at(p);
    if (whole) return *reinterpret_cast<const Pack<Out, 4>*>(first);
    Pack<Out, 4> values;
#pragma unroll
    for (int n = 0; n < 4; ++n) values.values[n] = column + n < p.columns ? first[n] : from_float<Out>(0);
    return values;
  }
  /// As finish() does.
  __device__ void write(const NarrowProduct& p, float4 sum) const {
    if (!any) return;
    float values[4] = {sum.x, sum.y, sum.z, sum.w};
    Pack<Out, 4> before;
    if (p.add) before = read(p, p.out);
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      if (p.add) values[n] += to_float(before.values[n]);
      if (p.bias && column + n < p.columns) values[n] += p.bias[p.first_column + column + n];
      if (p.residual) values[n] += to_float(residual.values[n]);
    }
    Out* out = reinterpret_cast<Out*>(p.out) + at(p);
    if (whole) return store(values, out);
#pragma unroll
    for (int n = 0; n < 4; ++n)
      if (column + n < p.columns) out[n] = from_float<Out>(values[n]);
  }
};

/// Adds the warps' sums, in order.
template <class S>
__device__ float4 quad_of_warps(const float* partial, int quad) {
  const float* of_warp = partial + quad / 4 * kPaddedSums + quad % 4 * 4;
  float4 sum = {0, 0, 0, 0};
#pragma unroll
  for (int warp = 0; warp < kRingWarps; ++warp) {
    float4 add = *reinterpret_cast<const float4*>(of_warp + warp * S::tile_sums);
    sum = {sum.x + add.x, sum.y + add.y, sum.z + add.z, sum.w + add.w};
  }
  return sum;
}

/// By the finishing warps.
template <class S, class Out>
__device__ void finish_tiles(const NarrowProduct& p, bool aligned, const HeldMemory<S>& memory) {
  int thread = int(threadIdx.x) - 32 * (kRingWarps + 1);
  auto number = [&](int i) { return thread + 32 * S::finishing_warps * i; };
  wait_for_earlier_kernels();
  for (int tile = 0, tiles = tiles_of_block(p); tile < tiles; ++tile) {
    Place<S::sum_buffers> buffer(tile);
    int first = first_column(tile);
    Quad<Out> quads[S::quads_of_thread];
    float4 sums[S::quads_of_thread];
#pragma unroll
    for (int i = 0; i < S::quads_of_thread; ++i) quads[i].begin(p, aligned, number(i) / 4, first + number(i) % 4 * 4);
    barrier_wait(memory.sums_full + buffer.index, buffer.parity);
#pragma unroll
    for (int i = 0; i < S::quads_of_thread; ++i)
      sums[i] = quad_of_warps<S>(memory.sums + buffer.index * S::sums, min(number(i), S::quads - 1));
    barrier_arrive_warp(memory.sums_empty + buffer.index);
#pragma unroll
    for (int i = 0; i < S::quads_of_thread; ++i)
      if (number(i) < S::quads) quads[i].write(p, sums[i]);
  }
}

/// The same with gates, whose columns are whole tiles of out.
template <class S, class Out>
__device__ void finish_gated_tiles(const NarrowProduct& p, const HeldMemory<S>& memory) {
  int thread = int(threadIdx.x) - 32 * (kRingWarps + 1), row = thread / 2, column = thread % 2 * 4;
  static_assert(2 * S::rows <= 32 * S::finishing_warps);
  wait_for_earlier_kernels();
  for (int tile = 0, tiles = tiles_of_block(p); tile < tiles; ++tile) {
    Place<S::sum_buffers> buffer(tile);
    barrier_wait(memory.sums_full + buffer.index, buffer.parity);
    const float* of_tile = memory.sums + buffer.index * S::sums;
    int quad = min(row, S::rows - 1) * (kWeightRows / 4) + column / 4;
    float4 gates = quad_of_warps<S>(of_tile, quad), sums = quad_of_warps<S>(of_tile, quad + kGateColumns / 4);
    barrier_arrive_warp(memory.sums_empty + buffer.index);
    if (row >= p.rows) continue;
    float gate[4] = {gates.x, gates.y, gates.z, gates.w}, values[4] = {sums.x, sums.y, sums.z, sums.w};
    int first = p.first_column + first_column(tile, kGateColumns) + column;
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      if (p.bias) gate[n] += p.bias[first + n], values[n] += p.bias[first + p.width() + n];
      gate[n] = to_float(from_float<Out>(gate[n])), values[n] = to_float(from_float<Out>(values[n]));
      values[n] *= activated(p.activation, gate[n]);
    }
    store(values, reinterpret_cast<Out*>(p.out) + int64_t(row) * p.out_columns + first);
  }
}

/// `aligned`: four neighbouring columns of out, and of the residual, can be touched at once.
template <class S, class Out>
__global__ void __launch_bounds__(S::threads, 1) multiply_holding(NarrowProduct p, HeldWeight weight, bool aligned) {
#ifndef LATHE_NO_GROUPS
  extern __shared__ uint4 shared_memory[];
  HeldMemory<S> memory(shared_memory);
  let_later_kernels_begin();
  if (threadIdx.x == 0) memory.start_barriers();
  show_barriers();
  __syncthreads();
  int warp = int(threadIdx.x) / 32;
  if (warp < kRingWarps)
    multiply_tiles<S>(p, memory);
  else if (warp == kRingWarps)
    copy_tiles<S>(p, weight, memory);
  else if constexpr (S::gating)
    finish_gated_tiles<S, Out>(p, memory);
  else
    finish_tiles<S, Out>(p, aligned, memory);
#endif
}

template <class S, class Out>
void launch_holding(const NarrowProduct& p, const HeldWeight& weight, cudaStream_t stream, const char* name) {
  auto kernel = multiply_holding<S, Out>;
  auto in_quads = [](const std::byte* data) { return reinterpret_cast<uintptr_t>(data) % (4 * sizeof(Out)) == 0; };
  bool aligned = p.out_columns % 4 == 0 && p.first_column % 4 == 0 && in_quads(p.out) && in_quads(p.residual);
  allow_shared(reinterpret_cast<const void*>(kernel), S::shared_bytes);
  int blocks = std::min((p.columns + S::columns - 1) / S::columns, kMultiprocessors);
  launch_early(kernel, {unsigned(blocks), S::threads, stream, S::shared_bytes}, name, p, weight, aligned);
}

}  // namespace lathe
