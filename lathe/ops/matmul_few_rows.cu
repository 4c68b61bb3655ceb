#include <cooperative_groups.h>

#include "lathe/ops/matmul_cuda.cuh"
#include "lathe/ops/mma.cuh"
#include "lathe/tensor/dependent.cuh"
#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

// A product with few rows is as fast as the weight can be read. Each warp reads 16 rows of it (or several times 16),
// over one of kChunks chunks of depth, straight into the registers that the tensor cores multiply; x is the narrow
// operand. The chunks' sums meet in shared memory, of a cluster of blocks where rows are many, and are added in order.
// So an element's sum does not depend on how many rows there are. Blocks stay and go from tile to tile, and read the
// next tile's weights before they add up this one's sums.

namespace lathe {
namespace {

constexpr int kChunks = 16;
constexpr int kWeightRows = 16;  ///< of a tile: a warp's mma
constexpr int kRows = 8;         ///< of x in a tile
constexpr int kStep = 32;        ///< of depth: 16 bytes for each of four lanes
constexpr int kPadded = 20;      ///< floats for 16 sums, so that a warp's stores meet no bank twice

struct FewRows {
  const __nv_bfloat16 *x, *weight;
  std::byte* out;
  const float* bias;
  const std::byte* residual;
  int rows, columns, depth, chunk;  ///< chunk: of depth, a multiple of kStep
  bool add, weight_is_constant;
};

/// 16 bytes that are read once; zeros unless `valid`.
__device__ inline uint4 read_once(const __nv_bfloat16* from, bool valid) {
  uint4 to = {0, 0, 0, 0};
  if (valid)
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to.x), "=r"(to.y), "=r"(to.z), "=r"(to.w)
                 : "l"(from));
  return to;
}

__device__ inline uint4 read_often(const __nv_bfloat16* from, bool valid) {
  uint4 to = {0, 0, 0, 0};
  if (valid)
    asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to.x), "=r"(to.y), "=r"(to.z), "=r"(to.w)
                 : "l"(from));
  return to;
}

/// A lane's part of one step of depth: eight neighbouring elements of each row it holds. That lanes hold other elements
/// than the mma's picture says does not matter, as x and weight agree.
template <int row_tiles, int weight_tiles>
struct Step {
  uint4 weight[weight_tiles][2];
  uint4 x[row_tiles];
};

/// Where a lane reads: its first row of the tiles, at its eight elements of a step.
struct Reader {
  const __nv_bfloat16 *x, *weight;
  int x_rows, weight_rows;  ///< from there to the end
  int depth_left, depth;

  __device__ Reader(const FewRows& p, int chunk, int first_weight_row) {
    int row = int(threadIdx.x) % 32 / 4, first = chunk * p.chunk + int(threadIdx.x) % 4 * 8;
    depth = p.depth;
    depth_left = min((chunk + 1) * p.chunk, depth) - first;
    x = p.x + int64_t(row) * depth + first;
    weight = p.weight + int64_t(first_weight_row + row) * depth + first;
    x_rows = p.rows - row;
    weight_rows = p.columns - first_weight_row - row;
  }
  __device__ void advance(int elements) {
    x += elements;
    weight += elements;
    depth_left -= elements;
  }
  __device__ void go_to_tile(int rows_further) {
    weight += int64_t(rows_further) * depth;
    weight_rows -= rows_further;
  }
  template <int row_tiles, int weight_tiles>
  __device__ void read_weight(Step<row_tiles, weight_tiles>& step, int ahead) const {
#pragma unroll
    for (int i = 0; i < 2 * weight_tiles; ++i)
      step.weight[i / 2][i % 2] =
          read_once(weight + int64_t(8 * i) * depth + ahead, ahead < depth_left && 8 * i < weight_rows);
  }
  template <int row_tiles, int weight_tiles>
  __device__ void read_x(Step<row_tiles, weight_tiles>& step, int ahead) const {
#pragma unroll
    for (int j = 0; j < row_tiles; ++j)
      step.x[j] = read_often(x + int64_t(kRows * j) * depth + ahead, ahead < depth_left && kRows * j < x_rows);
  }
};

template <int row_tiles, int weight_tiles>
__device__ void multiply_step(const Step<row_tiles, weight_tiles>& step, float (&sums)[weight_tiles][row_tiles][4]) {
#pragma unroll
  for (int i = 0; i < weight_tiles; ++i)
#pragma unroll
    for (int j = 0; j < row_tiles; ++j) {
      const uint4 &w = step.weight[i][0], &below = step.weight[i][1], &x = step.x[j];
      multiply_add<__nv_bfloat16>(sums[i][j], w.x, below.x, w.y, below.y, x.x, x.y);
      multiply_add<__nv_bfloat16>(sums[i][j], w.z, below.z, w.w, below.w, x.z, x.w);
    }
}

/// partial [tile of weight rows][row of x][kPadded] of one warp.
template <int row_tiles, int weight_tiles>
__device__ void put_sums(const float (&sums)[weight_tiles][row_tiles][4], float* partial) {
  int lane = int(threadIdx.x) % 32, weight_row = lane / 4, row = lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < weight_tiles; ++i)
#pragma unroll
    for (int j = 0; j < row_tiles; ++j)
#pragma unroll
      for (int n = 0; n < 4; ++n)
        partial[((i * row_tiles + j) * kRows + row + n % 2) * kPadded + weight_row + n / 2 * 8] = sums[i][j][n];
}

template <class Out>
__device__ void finish(const FewRows& p, int row, int column, float value) {
  int64_t at = int64_t(row) * p.columns + column;
  Out* out = reinterpret_cast<Out*>(p.out);
  if (p.add) value += to_float(out[at]);
  if (p.bias) value += p.bias[column];
  if (p.residual) value += to_float(reinterpret_cast<const Out*>(p.residual)[at]);
  out[at] = from_float<Out>(value);
}

/// How blocks share the work: a cluster of `weight_tiles` blocks computes as many tiles of columns at a time; its
/// blocks share the chunks, each then adds up one of the tiles. A warp has `stages` steps of depth on their way.
template <int stages_, int row_tiles_, int weight_tiles_>
struct Sharing {
  static constexpr int stages = stages_, row_tiles = row_tiles_, weight_tiles = weight_tiles_;
  static constexpr int warps = kChunks / weight_tiles, threads = 32 * warps;
  static constexpr int columns = kWeightRows * weight_tiles;                ///< of out, a cluster at a time
  static constexpr int tile_sums = row_tiles * kRows * kPadded;             ///< floats
  static constexpr int block_sums = kChunks * tile_sums;                    ///< floats: warps x weight_tiles tiles
  static constexpr int shared_bytes = 2 * block_sums * int(sizeof(float));  ///< one half is added up, one filled
};

/// Adds the chunks' sums of this block's tile, in order.
template <class S, class Out>
__device__ void add_chunks(const FewRows& p, const float* partial, int first_weight_row, int block) {
  auto cluster = cooperative_groups::this_cluster();
  for (int i = int(threadIdx.x); i < S::row_tiles * kRows * kWeightRows; i += S::threads) {
    int row = i / kWeightRows, weight_row = i % kWeightRows;
    int column = first_weight_row + block * kWeightRows + weight_row;
    if (row >= p.rows || column >= p.columns) continue;
    float value = 0;
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      const float* of_block =
          S::weight_tiles > 1 ? cluster.map_shared_rank(partial, unsigned(chunk / S::warps)) : partial;
      value += of_block[(chunk % S::warps * S::weight_tiles + block) * S::tile_sums + row * kPadded + weight_row];
    }
    finish<Out>(p, row, column, value);
  }
}

template <class S, class Out>
__global__ void __launch_bounds__(S::threads, S::weight_tiles) multiply_rows(FewRows p) {
  extern __shared__ float partial[];  // [2][warps][weight_tiles][tile_sums]
  constexpr int kAhead = S::stages * kStep;
  auto cluster = cooperative_groups::this_cluster();
  int warp = int(threadIdx.x) / 32, block = int(blockIdx.x) % S::weight_tiles;
  int first_weight_row = int(blockIdx.x) / S::weight_tiles * S::columns;
  const int further = int(gridDim.x) / S::weight_tiles * S::columns;
  let_later_kernels_begin();
  Reader reader(p, block * S::warps + warp, first_weight_row);
  Step<S::row_tiles, S::weight_tiles> steps[S::stages];
  if (!p.weight_is_constant) wait_for_earlier_kernels();
#pragma unroll
  for (int s = 0; s < S::stages; ++s) reader.read_weight(steps[s], s * kStep);
  if (p.weight_is_constant) wait_for_earlier_kernels();
#pragma unroll
  for (int s = 0; s < S::stages; ++s) reader.read_x(steps[s], s * kStep);
  float* half = partial;
  for (; first_weight_row < p.columns; first_weight_row += further) {
    float sums[S::weight_tiles][S::row_tiles][4] = {};
    for (int k = 0; k < p.chunk; k += kAhead) {
      reader.advance(kAhead);
      if (k + kAhead >= p.chunk) {
        reader.advance(-k - kAhead);
        reader.go_to_tile(further);
      }
#pragma unroll
      for (int s = 0; s < S::stages; ++s) {
        multiply_step(steps[s], sums);
        reader.read_weight(steps[s], s * kStep);
        reader.read_x(steps[s], s * kStep);
      }
    }
    put_sums(sums, half + warp * S::weight_tiles * S::tile_sums);
    S::weight_tiles > 1 ? cluster.sync() : __syncthreads();
    add_chunks<S, Out>(p, half, first_weight_row, block);
    half = half == partial ? partial + S::block_sums : partial;
  }
  if (S::weight_tiles > 1) cluster.sync();  // others may still read this block's sums
}

/// Clusters of the kernel's blocks that the device can hold at a time; all devices of a program are alike.
template <class S, class Out>
int clusters_at_once(cudaLaunchConfig_t config) {
  static const int clusters = [&] {
    auto kernel = multiply_rows<S, Out>;
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::shared_bytes), "matmul");
    config.numAttrs = 1;
    int most = 0;
    check_cuda(cudaOccupancyMaxActiveClusters(&most, kernel, &config), "matmul");
    return std::max(most, 1);
  }();
  return clusters;
}

template <class S, class Out>
void launch(const FewRows& p, cudaStream_t stream) {
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {S::weight_tiles, 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  int clusters = (p.columns + S::columns - 1) / S::columns;
  config.gridDim = unsigned(clusters * S::weight_tiles);
  config.blockDim = S::threads;
  config.dynamicSmemBytes = S::shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = 2;
  config.gridDim.x = unsigned(std::min(clusters, clusters_at_once<S, Out>(config)) * S::weight_tiles);
  check_cuda(cudaLaunchKernelEx(&config, multiply_rows<S, Out>, p), "matmul");
}

/// Where each block has one tile, all of it is on its way at once; else more and smaller blocks overlap better.
template <class Out>
void launch(const FewRows& p, cudaStream_t stream) {
  constexpr int kMultiprocessors = 132;
  bool one_tile = p.columns <= kMultiprocessors * kWeightRows;
  if (p.rows <= 8)
    return one_tile ? launch<Sharing<4, 1, 1>, Out>(p, stream) : launch<Sharing<2, 1, 2>, Out>(p, stream);
  if (p.rows <= 16)
    return one_tile ? launch<Sharing<4, 2, 1>, Out>(p, stream) : launch<Sharing<2, 2, 2>, Out>(p, stream);
  one_tile ? launch<Sharing<2, 4, 1>, Out>(p, stream) : launch<Sharing<2, 4, 2>, Out>(p, stream);
}

bool aligned(const std::byte* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

}  // namespace

bool few_rows_fit(const MatrixProduct& m) {
  return m.a.outer <= kFewRows && !m.a.across && !m.b.across && m.a.dtype == DType::bf16 && m.b.dtype == DType::bf16 &&
         (m.out_dtype == DType::bf16 || m.out_dtype == DType::f32) && m.a.depth % 8 == 0 && aligned(m.a.data) &&
         aligned(m.b.data);
}

void multiply_few_rows(const MatrixProduct& m, bool b_is_constant, cudaStream_t stream) {
  FewRows p{.x = reinterpret_cast<const __nv_bfloat16*>(m.a.data),
            .weight = reinterpret_cast<const __nv_bfloat16*>(m.b.data),
            .out = m.out,
            .bias = m.bias,
            .residual = m.residual,
            .rows = int(m.a.outer),
            .columns = int(m.b.outer),
            .depth = int(m.a.depth),
            .chunk = int((m.a.depth + kChunks * kStep - 1) / (kChunks * kStep) * kStep),
            .add = m.add,
            .weight_is_constant = b_is_constant};
  m.out_dtype == DType::bf16 ? launch<__nv_bfloat16>(p, stream) : launch<float>(p, stream);
}

}  // namespace lathe
