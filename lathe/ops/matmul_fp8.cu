#include "lathe/ops/matmul_fp8.h"

#include <cuda_fp8.h>

#include "lathe/base/error.h"
#include "lathe/ops/matmul_library.cuh"
#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/reduce.cuh"

namespace lathe {
namespace {

constexpr int kPack = 8;    ///< bf16 that a thread loads at once
constexpr int kTile = 128;  ///< rows and columns that a block quantizes
constexpr int kQuad = 4;    ///< rows that a thread takes, whose codes of a column are one word

/// Magnitudes are compared by their bits, in which NaN is above infinity, so that it is not lost.
__device__ inline uint32_t largest_in(uint4 pack) {
  auto of_pair = [](uint32_t pair) { return max(pair << 16 & 0x7fff0000u, pair & 0x7fff0000u); };
  return max(max(of_pair(pack.x), of_pair(pack.y)), max(of_pair(pack.z), of_pair(pack.w)));
}

__device__ inline uint32_t over_warp(uint32_t value) { return __reduce_max_sync(~0u, value); }

/// One thread of the last block to arrive gets true; `arrived` was 0.
__device__ inline bool last_to_arrive(uint32_t* arrived) {
  __threadfence();
  return atomicAdd(arrived, 1) + 1 == gridDim.x;
}

/// A grid-stride loop over packs, four at a time. A maximum is the same in any order, so an atomic one repeats.
/// scale [kFp8Factor + 1] is 0 before; its second word counts blocks.
__global__ void __launch_bounds__(kThreads) find_scale(const uint4* x, int64_t packs, float format_most, float* scale) {
  uint32_t most = 0, *largest = reinterpret_cast<uint32_t*>(scale);
  int64_t stride = int64_t(gridDim.x) * kThreads, i = blockIdx.x * int64_t(kThreads) + threadIdx.x;
  for (; i + 3 * stride < packs; i += 4 * stride) {
    uint4 a = x[i], b = x[i + stride], c = x[i + 2 * stride], d = x[i + 3 * stride];
    most = max(most, max(max(largest_in(a), largest_in(b)), max(largest_in(c), largest_in(d))));
  }
  for (; i < packs; i += stride) most = max(most, largest_in(x[i]));
  __shared__ uint32_t of_warps[kThreads / kWarp];
  most = over_warp(most);
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = most;
  __syncthreads();
  if (threadIdx.x >= kWarp) return;
  most = over_warp(threadIdx.x < kThreads / kWarp ? of_warps[threadIdx.x] : 0);
  if (threadIdx.x > 0) return;
  atomicMax(largest, most);
  if (!last_to_arrive(largest + 1)) return;
  float of_all = __uint_as_float(atomicMax(largest, 0u));
  scale[kFp8Factor] = of_all == 0 ? 1 : of_all / format_most;
}

void scale_cuda(const Tensor& x, Fp8 format, Tensor& scale) {
  check_cuda(cudaMemsetAsync(scale.data<std::byte>(), 0, size_t(scale.bytes()), stream_of(scale)), "fp8_scale");
  int64_t packs = x.elements() / kPack;
  find_scale<<<blocks_for(packs / 4), kThreads, 0, stream_of(scale)>>>(on_device<const uint4>(x), packs,
                                                                       largest_of(format), on_device<float>(scale));
  check_launch("fp8_scale");
}

/// Four codes, the first in the lowest byte.
template <__nv_fp8_interpretation_t format>
__device__ uint32_t codes_of(float2 low, float2 high) {
  return uint32_t(__nv_cvt_float2_to_fp8x2(low, __NV_SATFINITE, format)) |
         uint32_t(__nv_cvt_float2_to_fp8x2(high, __NV_SATFINITE, format)) << 16;
}

/// The eight elements of a pack as codes.
template <__nv_fp8_interpretation_t format>
__device__ uint2 quantized(uint4 pack, float factor) {
  auto pair = [&](uint32_t two) {
    return float2{__uint_as_float(two << 16) * factor, __uint_as_float(two & 0xffff0000u) * factor};
  };
  return {codes_of<format>(pair(pack.x), pair(pack.y)), codes_of<format>(pair(pack.z), pair(pack.w))};
}

/// Bytes [row][column] of four words become [column][row].
__device__ inline void transpose(const uint32_t (&rows)[kQuad], uint32_t (&columns)[kQuad]) {
  uint32_t low01 = __byte_perm(rows[0], rows[1], 0x5140), high01 = __byte_perm(rows[0], rows[1], 0x7362);
  uint32_t low23 = __byte_perm(rows[2], rows[3], 0x5140), high23 = __byte_perm(rows[2], rows[3], 0x7362);
  columns[0] = __byte_perm(low01, low23, 0x5410), columns[1] = __byte_perm(low01, low23, 0x7632);
  columns[2] = __byte_perm(high01, high23, 0x5410), columns[3] = __byte_perm(high01, high23, 0x7632);
}

struct Quantization {
  const __nv_bfloat16* x;
  const float* scale;
  uint8_t *along, *across;
  int64_t rows, columns;
  float most;  ///< the format's largest
};

/// Where the shared tile has the word of four rows `quad` of a column: shuffled so that neither the threads that write
/// eight columns each nor those that read down a column meet a bank twice.
__device__ inline int word_at(int column, int quad) { return column * (kTile / kQuad) + (quad ^ column / kPack); }

/// Four rows by eight columns of the tile: codes along at once, codes across into the shared tile.
template <__nv_fp8_interpretation_t format>
__device__ void quantize_part(const Quantization& q, int64_t row, int64_t column, float factor, int quad, int in_tile,
                              uint32_t* tile) {
  uint4 packs[kQuad];
#pragma unroll
  for (int r = 0; r < kQuad; ++r) packs[r] = *reinterpret_cast<const uint4*>(q.x + (row + r) * q.columns + column);
  uint32_t left[kQuad], right[kQuad];
#pragma unroll
  for (int r = 0; r < kQuad; ++r) {
    uint2 codes = quantized<format>(packs[r], factor);
    if (q.along) *reinterpret_cast<uint2*>(q.along + (row + r) * q.columns + column) = codes;
    left[r] = codes.x, right[r] = codes.y;
  }
  if (!q.across) return;
  uint32_t columns[kQuad];
  transpose(left, columns);
#pragma unroll
  for (int c = 0; c < kQuad; ++c) tile[word_at(in_tile + c, quad)] = columns[c];
  transpose(right, columns);
#pragma unroll
  for (int c = 0; c < kQuad; ++c) tile[word_at(in_tile + kQuad + c, quad)] = columns[c];
}

/// A block a tile of kTile x kTile; columns along x, rows along y. Rows and columns are multiples of 16.
template <__nv_fp8_interpretation_t format>
__global__ void __launch_bounds__(kThreads) quantize_tile(Quantization q) {
  __shared__ uint32_t tile[kTile * kTile / kQuad];
  int64_t first_row = int64_t(blockIdx.y) * kTile, first_column = int64_t(blockIdx.x) * kTile;
  float factor = q.scale[0] == 0 ? 1 : q.most / q.scale[0];
  int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp, in_tile = lane % 16 * kPack;
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    int quad = warp + part * 8 + lane / 16 * 16;  // the two halves of a warp write to banks 16 apart
    int64_t row = first_row + quad * kQuad, column = first_column + in_tile;
    if (row < q.rows && column < q.columns) quantize_part<format>(q, row, column, factor, quad, in_tile, tile);
  }
  if (!q.across) return;
  __syncthreads();
  int64_t row = first_row + lane * kQuad;
  for (int column = warp; column < kTile && first_column + column < q.columns; column += kThreads / kWarp)
    if (row < q.rows)
      *reinterpret_cast<uint32_t*>(q.across + (first_column + column) * q.rows + row) = tile[word_at(column, lane)];
}

void quantize_cuda(const Tensor& x, Fp8 format, const Tensor& scale, Tensor& along, Tensor& across) {
  if (x.elements() == 0) return;
  Quantization q{on_device<const __nv_bfloat16>(x),
                 on_device<const float>(scale),
                 on_device<uint8_t>(along),
                 on_device<uint8_t>(across),
                 x.shape().rows(),
                 x.shape().columns(),
                 largest_of(format)};
  cudaStream_t stream = stream_of(along ? along : across);
  dim3 grid(unsigned((q.columns + kTile - 1) / kTile), unsigned((q.rows + kTile - 1) / kTile));
  if (format == Fp8::e4m3)
    quantize_tile<__NV_E4M3><<<grid, kThreads, 0, stream>>>(q);
  else
    quantize_tile<__NV_E5M2><<<grid, kThreads, 0, stream>>>(q);
  check_launch("fp8_quantize");
}

LibraryMatrix library_matrix(const Fp8Operand& operand) {
  return {.data = operand.codes.data<std::byte>(),
          .type = operand.format == Fp8::e4m3 ? CUDA_R_8F_E4M3 : CUDA_R_8F_E5M2,
          .outer = operand.codes.shape()[0],
          .scale = operand.scale.data<float>() + kFp8Factor};
}

void multiply_cuda(const Fp8Product& product, Tensor& workspace, Tensor& out) {
  if (out.elements() == 0) return;
  bool done = multiply_by_library({.a = library_matrix(product.a),
                                   .b = library_matrix(product.b),
                                   .depth = product.a.codes.shape()[1],
                                   .out = out.data<std::byte>(),
                                   .out_dtype = out.dtype(),
                                   .add = product.add,
                                   .precise = product.precise,
                                   .bias = on_device<const float>(product.bias),
                                   .residual = on_device<const std::byte>(product.residual),
                                   .workspace = workspace.data<std::byte>()},
                                  stream_of(out));
  require(done, "matmul_fp8: this GPU does not multiply ", product.a.codes.shape(), " by ", product.b.codes.shape(),
          " in FP8; it needs Ada, Hopper or newer");
}

const bool provided = fp8_scale_kernel.provide(Backend::cuda, scale_cuda) &&
                      fp8_quantize_kernel.provide(Backend::cuda, quantize_cuda) &&
                      fp8_product_kernel.provide(Backend::cuda, multiply_cuda);

}  // namespace
}  // namespace lathe
