#include "lathe/ops/matmul_cuda.cuh"
#include "lathe/ops/mma.cuh"
#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

constexpr int kTile = 64;   ///< rows and columns of out that a block computes
constexpr int kDepth = 32;  ///< that it has in shared memory at a time
constexpr int kEach = 16;   ///< elements of out a thread

/// An operand: element (outer, depth) is at outer * outer_step + depth * depth_step.
template <class T>
struct Side {
  const T* data;
  int64_t outer, depth, outer_step, depth_step;
};

enum class Groups { none, of_rows, of_depth };

template <class T, class Out>
struct TileProduct {
  Side<T> a, b;
  Out* out;
  int64_t out_stride;  ///< 0: rows follow one another
  bool add;
  const float* bias;
  const Out* residual;
  Groups kind;
  const int32_t* offsets;
  int64_t groups, b_group;  ///< elements from one group of b to the next
};

/// What one block computes: a tile of out at (row, column), where rows end and which part of depth is summed.
struct Place {
  int64_t row, end_row, column, first_depth, end_depth, group;
};

/// Row tiles are numbered through the rows before all groups, those of each group, and those after. False past the
/// last.
__device__ inline bool find_rows(const int32_t* offsets, int64_t groups, Place& place) {
  int64_t tile = blockIdx.y, rows = place.end_row, depth = place.end_depth;
  for (int64_t group = -1, first = 0; group <= groups; ++group) {
    int64_t end = group == groups ? rows : offsets[group + 1], tiles = (end - first + kTile - 1) / kTile;
    if (tile < tiles) {
      bool in_group = group >= 0 && group < groups;
      place = {first + tile * kTile, end, place.column, 0, in_group ? depth : 0, in_group ? group : 0};
      return true;
    }
    tile -= tiles;
    first = end;
  }
  return false;
}

template <class T, class Out>
__device__ bool find_place(const TileProduct<T, Out>& p, Place& place) {
  place = {int64_t(blockIdx.y) * kTile, p.a.outer, int64_t(blockIdx.x) * kTile, 0, p.a.depth, 0};
  if (p.kind == Groups::of_rows) return find_rows(p.offsets, p.groups, place);
  if (p.kind == Groups::of_depth) {
    place.group = blockIdx.z;
    place.first_depth = p.offsets[place.group], place.end_depth = p.offsets[place.group + 1];
  }
  return true;
}

/// Rows of shared memory lie so that a warp's reads of one column meet no bank twice.
template <class T>
constexpr int kStride = sizeof(T) == 4 ? kDepth + 1 : kDepth + 8;

/// tile [kTile, kDepth] = the side from (outer, depth), 0 beyond its ends; neighbouring threads read neighbouring
/// bytes.
template <class T>
__device__ void load_tile(const Side<T>& side, int64_t outer, int64_t end_outer, int64_t depth, int64_t end_depth,
                          T* tile) {
  for (int i = int(threadIdx.x); i < kTile * kDepth; i += kThreads) {
    int o = side.depth_step == 1 ? i / kDepth : i % kTile, k = side.depth_step == 1 ? i % kDepth : i / kTile;
    bool inside = outer + o < end_outer && depth + k < end_depth;
    tile[o * kStride<T> + k] =
        inside ? side.data[(outer + o) * side.outer_step + (depth + k) * side.depth_step] : from_float<T>(0);
  }
}

/// Which elements of the tile a thread sums, and how. f32: four rows by four columns, sixteen apart, in order of depth.
template <class T>
struct Sums {
  float sums[kEach] = {};
  __device__ static int row(int i) { return int(threadIdx.x) / 16 + i / 4 * 16; }
  __device__ static int column(int i) { return int(threadIdx.x) % 16 + i % 4 * 16; }
  __device__ void multiply(const T* a, const T* b) {
#pragma unroll 8
    for (int k = 0; k < kDepth; ++k)
#pragma unroll
      for (int i = 0; i < kEach; ++i)
        sums[i] = fmaf(a[row(i) * kStride<T> + k], b[column(i) * kStride<T> + k], sums[i]);
  }
  __device__ float at(int i) const { return sums[i]; }
};

/// 16 bits: a warp has 16 rows and 32 columns.
template <class T>
struct MmaSums {
  float sums[4][4] = {};
  __device__ static int lane() { return int(threadIdx.x) % 32; }
  __device__ static int first_row() { return int(threadIdx.x) / 64 * 16; }
  __device__ static int first_column() { return int(threadIdx.x) / 32 % 2 * 32; }
  __device__ static int row(int i) { return first_row() + lane() / 4 + i % 4 / 2 * 8; }
  __device__ static int column(int i) { return first_column() + i / 4 * 8 + lane() % 4 * 2 + i % 2; }
  __device__ static uint32_t pair(const T* tile, int outer, int k) {
    return *reinterpret_cast<const uint32_t*>(tile + outer * kStride<T> + k);
  }
  __device__ void multiply(const T* a, const T* b) {
    int r = first_row() + lane() / 4, c = first_column() + lane() / 4;
#pragma unroll
    for (int k = lane() % 4 * 2; k < kDepth; k += 16)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        multiply_add<T>(sums[j], pair(a, r, k), pair(a, r + 8, k), pair(a, r, k + 8), pair(a, r + 8, k + 8),
                        pair(b, c + 8 * j, k), pair(b, c + 8 * j, k + 8));
  }
  __device__ float at(int i) const { return sums[i / 4][i % 4]; }
};

/// A block a tile of out, kThreads threads; columns along x, rows along y, groups of depth along z.
template <class T, class Out>
__global__ void __launch_bounds__(kThreads) multiply_tile(TileProduct<T, Out> p) {
  __shared__ __align__(16) T a[kTile * kStride<T>];
  __shared__ __align__(16) T b[kTile * kStride<T>];
  Place place;
  if (!find_place(p, place)) return;
  if (p.kind == Groups::of_rows) p.b.data += place.group * p.b_group;
  if (p.kind == Groups::of_depth) p.out += place.group * p.a.outer * p.b.outer;
  std::conditional_t<sizeof(T) == 4, Sums<T>, MmaSums<T>> sums;
  for (int64_t depth = place.first_depth; depth < place.end_depth; depth += kDepth) {
    load_tile(p.a, place.row, place.end_row, depth, place.end_depth, a);
    load_tile(p.b, place.column, p.b.outer, depth, place.end_depth, b);
    __syncthreads();
    sums.multiply(a, b);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    int64_t row = place.row + sums.row(i), column = place.column + sums.column(i);
    int64_t at = row * (p.out_stride ? p.out_stride : p.b.outer) + column;
    if (row >= place.end_row || column >= p.b.outer) continue;
    float value = sums.at(i);
    if (p.add) value += to_float(p.out[at]);
    if (p.bias) value += p.bias[column];
    if (p.residual) value += to_float(p.residual[at]);
    p.out[at] = from_float<Out>(value);
  }
}

template <class T>
Side<T> side_of(const Matrix& matrix) {
  return {reinterpret_cast<const T*>(matrix.data), matrix.outer, matrix.depth, matrix.across ? 1 : matrix.stride,
          matrix.across ? matrix.stride : 1};
}

unsigned tiles_of(int64_t extent) { return unsigned((extent + kTile - 1) / kTile); }

template <class T, class Out>
void launch(const MatrixProduct& m, Groups kind, const int32_t* offsets, int64_t groups, cudaStream_t stream,
            int64_t out_stride = 0) {
  TileProduct<T, Out> p{side_of<T>(m.a),
                        side_of<T>(m.b),
                        reinterpret_cast<Out*>(m.out),
                        out_stride,
                        m.add,
                        m.bias,
                        reinterpret_cast<const Out*>(m.residual),
                        kind,
                        offsets,
                        groups,
                        0};
  dim3 grid(tiles_of(p.b.outer), tiles_of(p.a.outer), kind == Groups::of_depth ? unsigned(groups) : 1);
  if (kind == Groups::of_rows) {
    int64_t& extent = m.b.across ? p.b.depth : p.b.outer;
    extent /= groups;
    p.b_group = extent * m.b.stride;
    grid = dim3(tiles_of(p.b.outer), tiles_of(p.a.outer) + unsigned(groups) + 2);  // each group may begin a tile
  }
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  multiply_tile<<<grid, kThreads, 0, stream>>>(p);
  check_launch("matmul");
}

void launch(const MatrixProduct& m, Groups kind, const int32_t* offsets, int64_t groups, cudaStream_t stream,
            int64_t out_stride = 0) {
  visit_device(m.a.dtype, [&]<class T>(Element<T>) {
    if (m.out_dtype == m.a.dtype) return launch<T, T>(m, kind, offsets, groups, stream, out_stride);
    if (m.out_dtype != DType::f32) throw InternalError("a product's output is neither f32 nor of its operands' type");
    launch<T, float>(m, kind, offsets, groups, stream, out_stride);
  });
}

}  // namespace

void multiply_by_tiles(const MatrixProduct& product, cudaStream_t stream, int64_t out_stride) {
  launch(product, Groups::none, nullptr, 0, stream, out_stride);
}

void multiply_groups_by_tiles(const MatrixProduct& product, const int32_t* offsets, int64_t groups,
                              cudaStream_t stream) {
  launch(product, product.a.across ? Groups::of_depth : Groups::of_rows, offsets, groups, stream);
}

}  // namespace lathe
