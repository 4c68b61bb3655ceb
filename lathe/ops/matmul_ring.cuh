#pragma once
// Products with few rows, as fast as the weight can be read. One warp of a block keeps a ring of stages in shared
// memory filled, each with a piece of depth of some 16 (or 32) rows of the weight; the others multiply, each its part
// of the piece, by tensor cores; x is the narrow operand. Their sums meet in shared memory and are added in order, so
// an element's sum does not depend on how many rows there are. The ring is filled before earlier kernels end: while one
// product ends, the weights of the next one are on their way. Measured on an H200: copies of 2 KiB and 96 KiB of them
// on their way for each multiprocessor reach 4.6 TB/s, copies of 1 KiB 3.0. How a weight lies in memory is its Source's
// matter.

#include <algorithm>

#include "lathe/ops/activation.cuh"
#include "lathe/ops/bulk_copy.cuh"
#include "lathe/ops/mma.cuh"
#include "lathe/ops/norm.cuh"
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
  const float* bias;       ///< of the product's columns
  const std::byte* residual;
  int rows, columns, depth, out_columns, first_column = 0;
  bool add;
  RowNorm norm{};      ///< of x, where the kernel is `normed`
  bool gated = false;  ///< out = gated_activate() of the product of one row; then without residual or `add`
  Activation activation{};

  /// Columns of out.
  __host__ __device__ int width() const { return gated ? columns / 2 : columns; }
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

/// The elements of a tile that a thread writes. What is added to their sums is read ahead of the tile's products where
/// a thread has one element: it comes while they run. `gating`: elements may be gates, which wait for what they gate in
/// the same thread.
template <class S, class Out, bool gating>
struct TileElements {
  static constexpr int kCount = (S::rows * S::columns + 32 * S::warps - 1) / (32 * S::warps);
  int first;  ///< column of the tile
  float bias[kCount], gates[kCount];
  Out residual[kCount];

  __device__ static int number(int n) { return int(threadIdx.x) + n * 32 * S::warps; }
  __device__ static int row(int n) { return number(n) / S::columns; }
  __device__ int column(int n) const { return first + number(n) % S::columns; }
  __device__ bool any(const NarrowProduct& p, int n) const { return row(n) < p.rows && column(n) < p.columns; }
  __device__ int64_t at(const NarrowProduct& p, int n) const {
    return int64_t(row(n)) * p.out_columns + p.first_column + column(n);
  }

  __device__ void begin(const NarrowProduct& p, int first_column) {
    first = first_column;
    if (kCount == 1 && any(p, 0)) read(p, 0);
  }
  __device__ void read(const NarrowProduct& p, int n) {
    if (p.bias) bias[n] = p.bias[p.first_column + column(n)];
    if (p.residual) residual[n] = reinterpret_cast<const Out*>(p.residual)[at(p, n)];
  }
  __device__ void finish(const NarrowProduct& p, const float* partial) {
#pragma unroll
    for (int n = 0; n < kCount; ++n) {
      if (!any(p, n)) continue;
      if (kCount > 1) read(p, n);
      write(p, n, sum(partial, n));
    }
  }
  /// Adds the warps' sums, in order.
  __device__ static float sum(const float* partial, int n) {
    int tile = number(n) % S::columns / kWeightRows, weight_row = number(n) % kWeightRows;
    const float* of_warp = partial + tile * S::tile_sums + row(n) * kPaddedSums + weight_row;
    float value = 0;
#pragma unroll
    for (int warp = 0; warp < kRingWarps; ++warp) value += of_warp[warp * S::weight_tiles * S::tile_sums];
    return value;
  }
  __device__ void write(const NarrowProduct& p, int n, float value) {
    Out* out = reinterpret_cast<Out*>(p.out) + at(p, n);
    if (p.add) value += to_float(*out);
    if (p.bias) value += bias[n];
    if (p.residual) value += to_float(residual[n]);
    if constexpr (gating)
      if (p.gated) {
        value = to_float(from_float<Out>(value));
        if (first < p.width()) {
          gates[n] = value;
          return;
        }
        value *= activated(p.activation, gates[n]), out -= p.width();
      }
    *out = from_float<Out>(value);
  }
};

/// What multiply_by_ring() takes: the weight, and how lanes read it.
///   constexpr int kTileBytes: of a piece of 16 rows, at most
///   is_constant: no kernel of this program writes it, so it may be read before earlier kernels end
///   int bytes<S>(p, first, k): of the piece at depth k of the columns from `first` on
///   void copy<S>(p, first, k, to, full, policy, lane): begins to copy it, called by a warp
///   Lane<S>: begin(p) reads x of a warp's part of the first piece, after earlier kernels ended; multiply(p, source,
///     staged, k, next, sums) adds the part of the piece at k and reads x of the piece at `next`
/// One with kOwnsMemory gets begin(p, source, shared memory behind S::shared_bytes).
/// `normed`: x is one row, of which each block takes the norm itself, into shared memory of normed_bytes() behind
/// S::shared_bytes.
template <class S, class Out, class Source, bool normed = false>
__global__ void __launch_bounds__(S::threads, S::blocks) multiply_by_ring(NarrowProduct p, Source source) {
#ifndef LATHE_NO_GROUPS
  extern __shared__ uint4 shared_memory[];
  Ring<S> ring(shared_memory);
  let_later_kernels_begin();
  if (int(threadIdx.x) < S::stages) {
    barrier_start(ring.full + threadIdx.x, 1);
    barrier_start(ring.empty + threadIdx.x, S::warps * kWarpArrivals);
  }
  show_barriers();
  __syncthreads();
  int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int further = int(gridDim.x) * S::columns, width = normed ? p.width() : p.columns;
  if (warp == S::warps) {
    if (!source.is_constant) wait_for_earlier_kernels();
    uint64_t policy = read_once_policy();
    for (int tile = int(blockIdx.x) * S::columns; tile < width; tile += further)
      for (int first = tile; first < p.columns; first += width)
        for (int k = 0; k < p.depth; k += kPieceDepth, ring.advance()) {
          barrier_wait(ring.empty + ring.stage, ring.parity ^ 1);
          if (lane == 0) barrier_expect(ring.full + ring.stage, source.template bytes<S>(p, first, k));
          __syncwarp();
          source.template copy<S>(p, first, k, ring.here(), ring.full + ring.stage, policy, lane);
        }
    if (source.is_constant) wait_for_earlier_kernels();
    return;
  }
  std::byte* behind = ring.behind();
  if constexpr (normed) ask_for_norm<32 * S::warps>(p.norm, p.depth);
  wait_for_earlier_kernels();
  if constexpr (normed) {
    auto* row = reinterpret_cast<__nv_bfloat16*>(behind);
    normalize_row<S::warps>(p.norm, p.x, p.depth, row, ring.sums, [] { wait_for_threads<32 * S::warps>(1); });
    p.x = row;
    behind += normed_bytes(p.depth);
  }
  typename Source::template Lane<S> own;
  if constexpr (requires { Source::kOwnsMemory; })
    own.begin(p, source, behind);
  else
    own.begin(p);
  TileElements<S, Out, normed> elements;
  for (int tile = int(blockIdx.x) * S::columns; tile < width; tile += further)
    for (int first = tile; first < p.columns; first += width) {
      elements.begin(p, first);
      RingSums<S> sums = {};
      for (int k = 0; k < p.depth; k += kPieceDepth, ring.advance()) {
        barrier_wait(ring.full + ring.stage, ring.parity);
        own.multiply(p, source, ring.here(), k, k + kPieceDepth < p.depth ? k + kPieceDepth : 0, sums);
        barrier_arrive_warp(ring.empty + ring.stage);
      }
      wait_for_threads<32 * S::warps>(1);  // the last sums were read
      put_sums<S>(sums, ring.sums + warp % kRingWarps * S::weight_tiles * S::tile_sums, warp / kRingWarps);
      wait_for_threads<32 * S::warps>(1);
      elements.finish(p, ring.sums);
    }
#endif
}

template <class S, class Out, bool normed = false, class Source>
void launch_ring(const NarrowProduct& p, const Source& source, cudaStream_t stream, const char* name) {
  auto kernel = multiply_by_ring<S, Out, Source, normed>;
  int bytes = S::shared_bytes + (normed ? normed_bytes(p.depth) : 0);
  allow_shared(reinterpret_cast<const void*>(kernel), bytes);
  int together = std::max(S::blocks - 1, 1);  // the others are for the next kernel
  int blocks = std::min((p.width() + S::columns - 1) / S::columns, together * kMultiprocessors);
  launch_early(kernel, {unsigned(blocks), S::threads, stream, bytes}, name, p, source);
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
