#pragma once
// Products with few rows, as fast as the weight can be read. One warp of a block keeps a ring of stages in shared
// memory filled, each with a piece of depth of some 16 (or 32) rows of the weight; the others multiply, each its part
// of the piece, by tensor cores; x is the narrow operand. Their sums meet in shared memory and are added in order, so
// an element's sum does not depend on how many rows there are. The ring is filled before earlier kernels end: while one
// product ends, the weights of the next one are on their way. Measured on an H200: copies of 2 KiB and 96 KiB of them
// on their way for each multiprocessor reach 4.6 TB/s, copies of 1 KiB 3.0. How a weight lies in memory is its Source's
// matter.

#include <algorithm>

#include "lathe/ops/bulk_copy.cuh"
#include "lathe/ops/mma.cuh"
#include "lathe/tensor/dependent.cuh"
#include "lathe/tensor/elements.cuh"

namespace lathe {

constexpr int kRingWarps = 8;    ///< that share the depth of a piece
constexpr int kWeightRows = 16;  ///< of a tile: a warp's mma
constexpr int kNarrowRows = 8;   ///< of x in a tile
constexpr int kDepthStep = 32;   ///< of a warp
constexpr int kPieceSteps = 4;   ///< of a warp in a piece
constexpr int kPieceDepth = kRingWarps * kPieceSteps * kDepthStep;
constexpr int kPaddedSums = 20;  ///< floats for 16 sums, so that a warp's stores meet no bank twice
constexpr int kMultiprocessors = 132;

/// What a product with few rows reads and writes besides the weight.
struct NarrowProduct {
  const __nv_bfloat16* x;  ///< [rows, depth]
  std::byte* out;          ///< [rows, out_columns], of which this product's begin at `first_column`
  const float* bias;       ///< of out's columns
  const std::byte* residual;
  int rows, columns, depth, out_columns, first_column = 0;
  bool add;
};

/// A block computes `weight_tiles` tiles of columns at a time. Each part of a piece is met by `row_groups` warps, of
/// which each has `row_tiles` of x.
template <int row_tiles_, int weight_tiles_, int tile_bytes, int stages_ = weight_tiles_ == 1 ? 3 : 2,
          int row_groups_ = 1>
struct Sharing {
  static constexpr int row_tiles = row_tiles_, weight_tiles = weight_tiles_, row_groups = row_groups_;
  static constexpr int warps = kRingWarps * row_groups;  ///< that multiply
  static constexpr int threads = 32 * (warps + 1), columns = kWeightRows * weight_tiles;
  static constexpr int rows = kNarrowRows * row_tiles * row_groups, stages = stages_;
  static constexpr int stage_bytes = weight_tiles * tile_bytes;
  static constexpr int tile_sums = rows * kPaddedSums, sums = kRingWarps * weight_tiles * tile_sums;
  static constexpr int shared_bytes = stages * (stage_bytes + 2 * int(sizeof(uint64_t))) + sums * int(sizeof(float));
  static constexpr int room = (kMostShared + 1024) / (shared_bytes + 1024);
  static constexpr int blocks = rows == kNarrowRows ? std::min(room, 3) : 1;  ///< of a multiprocessor
};

template <class S>
using RingSums = float[S::weight_tiles][S::row_tiles][4];

/// Shared memory of a block, and where a warp is in the ring.
template <class S>
struct Ring {
  std::byte* stages;       ///< [stages][stage_bytes]
  float* sums;             ///< [warps][weight_tiles][tile_sums]
  uint64_t *full, *empty;  ///< [stages]
  int stage = 0, parity = 0;

  __device__ explicit Ring(void* memory)
      : stages(static_cast<std::byte*>(memory)),
        sums(reinterpret_cast<float*>(stages + S::stages * S::stage_bytes)),
        full(reinterpret_cast<uint64_t*>(sums + S::sums)),
        empty(full + S::stages) {}
  __device__ std::byte* behind() const { return stages + S::shared_bytes; }
  __device__ std::byte* here() const { return stages + stage * S::stage_bytes; }
  __device__ void advance() {
    if (++stage == S::stages) stage = 0, parity ^= 1;
  }
};

/// partial [tile of weight rows][row of x][kPaddedSums] of the warps with one part of depth.
template <class S>
__device__ void put_sums(const RingSums<S>& sums, float* partial, int row_group) {
  partial += row_group * S::row_tiles * kNarrowRows * kPaddedSums;
  int lane = int(threadIdx.x) % 32, weight_row = lane / 4, row = lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < S::weight_tiles; ++i)
#pragma unroll
    for (int j = 0; j < S::row_tiles; ++j)
#pragma unroll
      for (int n = 0; n < 4; ++n)
        partial[i * S::tile_sums + (j * kNarrowRows + row + n % 2) * kPaddedSums + weight_row + n / 2 * 8] =
            sums[i][j][n];
}

template <class Out>
__device__ void finish(const NarrowProduct& p, int row, int column, float value) {
  int64_t at = int64_t(row) * p.out_columns + p.first_column + column;
  Out* out = reinterpret_cast<Out*>(p.out);
  if (p.add) value += to_float(out[at]);
  if (p.bias) value += p.bias[p.first_column + column];
  if (p.residual) value += to_float(reinterpret_cast<const Out*>(p.residual)[at]);
  out[at] = from_float<Out>(value);
}

/// Adds the warps' sums, in order.
template <class S, class Out>
__device__ void add_sums(const NarrowProduct& p, const float* partial, int first_weight_row) {
  for (int i = int(threadIdx.x); i < S::rows * S::columns; i += 32 * S::warps) {
    int row = i / S::columns, tile = i % S::columns / kWeightRows, weight_row = i % kWeightRows;
    int column = first_weight_row + i % S::columns;
    if (row >= p.rows || column >= p.columns) continue;
    const float* of_warp = partial + tile * S::tile_sums + row * kPaddedSums + weight_row;
    float value = 0;
#pragma unroll
    for (int warp = 0; warp < kRingWarps; ++warp) value += of_warp[warp * S::weight_tiles * S::tile_sums];
    finish<Out>(p, row, column, value);
  }
}

/// What multiply_by_ring() takes: the weight, and how lanes read it.
///   constexpr int kTileBytes: of a piece of 16 rows, at most
///   is_constant: no kernel of this program writes it, so it may be read before earlier kernels end
///   int bytes<S>(p, first, k): of the piece at depth k of the columns from `first` on
///   void copy<S>(p, first, k, to, full, policy, lane): begins to copy it, called by a warp
///   Lane<S>: begin(p) reads x of a warp's part of the first piece, after earlier kernels ended; multiply(p, source,
///     staged, k, next, sums) adds the part of the piece at k and reads x of the piece at `next`
/// One with kOwnsMemory gets begin(p, source, shared memory behind S::shared_bytes).
template <class S, class Out, class Source>
__global__ void __launch_bounds__(S::threads, S::blocks) multiply_by_ring(NarrowProduct p, Source source) {
#ifndef LATHE_NO_GROUPS
  extern __shared__ uint4 shared_memory[];
  Ring<S> ring(shared_memory);
  let_later_kernels_begin();
  if (int(threadIdx.x) < S::stages) {
    barrier_start(ring.full + threadIdx.x, 1);
    barrier_start(ring.empty + threadIdx.x, S::warps);
  }
  show_barriers();
  __syncthreads();
  int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int further = int(gridDim.x) * S::columns;
  if (warp == S::warps) {
    if (!source.is_constant) wait_for_earlier_kernels();
    uint64_t policy = read_once_policy();
    for (int first = int(blockIdx.x) * S::columns; first < p.columns; first += further)
      for (int k = 0; k < p.depth; k += kPieceDepth, ring.advance()) {
        barrier_wait(ring.empty + ring.stage, ring.parity ^ 1);
        if (lane == 0) barrier_expect(ring.full + ring.stage, source.template bytes<S>(p, first, k));
        __syncwarp();
        source.template copy<S>(p, first, k, ring.here(), ring.full + ring.stage, policy, lane);
      }
    if (source.is_constant) wait_for_earlier_kernels();
    return;
  }
  wait_for_earlier_kernels();
  typename Source::template Lane<S> own;
  if constexpr (requires { Source::kOwnsMemory; })
    own.begin(p, source, ring.behind());
  else
    own.begin(p);
  for (int first = int(blockIdx.x) * S::columns; first < p.columns; first += further) {
    RingSums<S> sums = {};
    for (int k = 0; k < p.depth; k += kPieceDepth, ring.advance()) {
      barrier_wait(ring.full + ring.stage, ring.parity);
      own.multiply(p, source, ring.here(), k, k + kPieceDepth < p.depth ? k + kPieceDepth : 0, sums);
      __syncwarp();
      if (lane == 0) barrier_arrive(ring.empty + ring.stage);
    }
    wait_for_threads<32 * S::warps>(1);  // the last sums were read
    put_sums<S>(sums, ring.sums + warp % kRingWarps * S::weight_tiles * S::tile_sums, warp / kRingWarps);
    wait_for_threads<32 * S::warps>(1);
    add_sums<S, Out>(p, ring.sums, first);
  }
#endif
}

template <class S, class Out, class Source>
void launch_ring(const NarrowProduct& p, const Source& source, cudaStream_t stream, const char* name) {
  auto kernel = multiply_by_ring<S, Out, Source>;
  allow_shared(reinterpret_cast<const void*>(kernel), S::shared_bytes);
  int together = std::max(S::blocks - 1, 1);  // the others are for the next kernel
  int blocks = std::min((p.columns + S::columns - 1) / S::columns, together * kMultiprocessors);
  launch_early(kernel, {unsigned(blocks), S::threads, stream, S::shared_bytes}, name, p, source);
}

/// Where rows are many, two tiles at a time read x half as often, if each multiprocessor has that many; and two groups
/// of warps share them: eight warps would wait for one another.
template <class Out, class Source>
void launch_ring(const NarrowProduct& p, const Source& source, cudaStream_t stream, const char* name) {
  bool one_tile = p.columns <= kMultiprocessors * kWeightRows;
  constexpr int bytes = Source::kTileBytes;
  if (p.rows <= 8) return launch_ring<Sharing<1, 1, bytes>, Out>(p, source, stream, name);
  if (p.rows <= 16)
    return one_tile ? launch_ring<Sharing<1, 1, bytes, 3, 2>, Out>(p, source, stream, name)
                    : launch_ring<Sharing<1, 2, bytes, 2, 2>, Out>(p, source, stream, name);
  one_tile ? launch_ring<Sharing<2, 1, bytes, 3, 2>, Out>(p, source, stream, name)
           : launch_ring<Sharing<2, 2, bytes, 2, 2>, Out>(p, source, stream, name);
}

}  // namespace lathe
