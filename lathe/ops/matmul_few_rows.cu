#include "lathe/ops/matmul_cuda.cuh"
#include "lathe/ops/matmul_held.cuh"
#include "lathe/ops/matmul_ring.cuh"
#include "lathe/ops/normed_product.cuh"

namespace lathe {
namespace {

/// A weight [columns, depth], row after row.
struct DenseSource {
  static constexpr int kTileBytes = kWeightRows * kPieceDepth * int(sizeof(__nv_bfloat16));
  const __nv_bfloat16* weight;
  bool is_constant;

  __device__ static int row_bytes(const NarrowProduct& p, int k) {
    return min(kPieceDepth, p.depth - k) * int(sizeof(__nv_bfloat16));
  }
  template <class S>
  __device__ int bytes(const NarrowProduct& p, int first, int k) const {
    return min(S::columns, p.columns - first) * row_bytes(p, k);
  }
  /// With one copy where rows follow one another.
  template <class S>
  __device__ void copy(const NarrowProduct& p, int first, int k, std::byte* to, uint64_t* full, uint64_t policy,
                       int lane) const {
    const __nv_bfloat16* from = weight + int64_t(first) * p.depth + k;
    if (p.depth <= kPieceDepth) {
      if (lane == 0) copy_bulk(from, to, bytes<S>(p, first, k), full, policy);
    } else if (lane < min(S::columns, p.columns - first)) {
      to += lane * kPieceDepth * int(sizeof(__nv_bfloat16));
      copy_bulk(from + int64_t(lane) * p.depth, to, row_bytes(p, k), full, policy);
    }
  }

  /// Of each row it holds, a lane has eight neighbouring elements of a step. That they are others than the mma's
  /// picture says does not matter, as x and weight agree.
  template <class S>
  struct Lane {
    int warp = int(threadIdx.x) / 32 % kRingWarps, row = int(threadIdx.x) % 32 / 4;
    int own = warp * kPieceSteps * kDepthStep + int(threadIdx.x) % 4 * 8;
    int first_row = int(threadIdx.x) / 32 / kRingWarps * S::row_tiles * kNarrowRows;  ///< of the warp's group
    uint4 x[kPieceSteps][S::row_tiles];

    __device__ void begin(const NarrowProduct& p) {
#pragma unroll
      for (int s = 0; s < kPieceSteps; ++s) read(p, s, 0);
    }
    /// Zeros where there are none.
    __device__ void read(const NarrowProduct& p, int s, int piece) {
      int k = piece + own + s * kDepthStep;
#pragma unroll
      for (int j = 0; j < S::row_tiles; ++j) {
        int64_t at = int64_t(first_row + row + kNarrowRows * j) * p.depth + k;
        bool any = k < p.depth && first_row + row + kNarrowRows * j < p.rows;
        x[s][j] = any ? *reinterpret_cast<const uint4*>(p.x + at) : uint4{0, 0, 0, 0};
      }
    }
    __device__ void multiply(const NarrowProduct& p, const DenseSource&, const std::byte* stage, int piece, int next,
                             RingSums<S>& sums) {
      int staged_row = min(p.depth, kPieceDepth);
      auto* staged = reinterpret_cast<const __nv_bfloat16*>(stage) + row * staged_row + own;
#pragma unroll
      for (int s = 0; s < kPieceSteps; ++s) {
        bool any = piece + own + s * kDepthStep < p.depth;
#pragma unroll
        for (int i = 0; i < S::weight_tiles; ++i) {
          const __nv_bfloat16* from = staged + s * kDepthStep + i * kWeightRows * staged_row;
          uint4 none{0, 0, 0, 0}, w = any ? *reinterpret_cast<const uint4*>(from) : none;
          uint4 below = any ? *reinterpret_cast<const uint4*>(from + 8 * staged_row) : none;
#pragma unroll
          for (int j = 0; j < S::row_tiles; ++j) {
            multiply_add<__nv_bfloat16>(sums[i][j], w.x, below.x, w.y, below.y, x[s][j].x, x[s][j].y);
            multiply_add<__nv_bfloat16>(sums[i][j], w.z, below.z, w.w, below.w, x[s][j].z, x[s][j].w);
          }
        }
        read(p, s, next);
      }
    }
  };
};

/// x is held where a block would read it again and registers have room for it.
template <class Out>
void multiply_dense(const NarrowProduct& p, const DenseSource& source, cudaStream_t stream) {
  if (p.rows <= 8 || p.depth <= kPieceDepth || p.depth > kMostHeldDepth)
    return launch_ring<Out>(p, source, stream, "matmul");
  HeldWeight weight{source.weight, source.is_constant};
  p.rows <= 16 ? launch_holding<Holding<2>, Out>(p, weight, stream, "matmul")
               : launch_holding<Holding<4>, Out>(p, weight, stream, "matmul");
}

bool aligned(const std::byte* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

}  // namespace

bool few_rows_fit(const MatrixProduct& m) {
#ifndef LATHE_SM_90A
  return false;
#endif
  return m.a.outer <= kFewRows && !m.a.across && !m.b.across && m.a.dtype == DType::bf16 && m.b.dtype == DType::bf16 &&
         (m.out_dtype == DType::bf16 || m.out_dtype == DType::f32) && m.a.depth % 8 == 0 && aligned(m.a.data) &&
         aligned(m.b.data);
}

void multiply_few_rows(const MatrixProduct& m, bool b_is_constant, cudaStream_t stream) {
  NarrowProduct p{.x = reinterpret_cast<const __nv_bfloat16*>(m.a.data),
                  .out = m.out,
                  .bias = m.bias,
                  .residual = m.residual,
                  .rows = int(m.a.outer),
                  .columns = int(m.b.outer),
                  .depth = int(m.a.depth),
                  .out_columns = int(m.b.outer),
                  .add = m.add};
  DenseSource source{reinterpret_cast<const __nv_bfloat16*>(m.b.data), b_is_constant};
  if (m.out_dtype == DType::bf16)
    multiply_dense<__nv_bfloat16>(p, source, stream);
  else
    multiply_dense<float>(p, source, stream);
}

#ifdef LATHE_SM_90A
namespace {

constexpr const char* kNormed = "matmul_normed";

template <int pieces>
void multiply_gated(const NarrowProduct& p, const HeldWeight& weight, cudaStream_t stream) {
  using Out = __nv_bfloat16;
  if (p.rows <= 8) return launch_holding<Holding<1, pieces, true>, Out>(p, weight, stream, kNormed);
  p.rows <= 16 ? launch_holding<Holding<2, pieces, true>, Out>(p, weight, stream, kNormed)
               : launch_holding<Holding<4, pieces, true>, Out>(p, weight, stream, kNormed);
}

/// Of several rows, which a kernel of its own normalizes into `rows`: each block of the product would take as long (8
/// rows) or longer (32: 3 us more of 15, on an H200).
void multiply_gated(NarrowProduct p, const HeldWeight& weight, __nv_bfloat16* rows, cudaStream_t stream) {
  NormForward<__nv_bfloat16> norm{.x = p.x,
                                  .weight = p.norm.weight,
                                  .bias = nullptr,
                                  .eps = p.norm.eps,
                                  .offset = p.norm.offset,
                                  .y = rows,
                                  .means = nullptr,
                                  .rstds = nullptr,
                                  .rows = p.rows,
                                  .columns = p.depth};
  norm_cuda<false>(norm, true, stream, kNormed);
  p.x = rows;
  p.depth <= kPieceDepth ? multiply_gated<1>(p, weight, stream) : multiply_gated<2>(p, weight, stream);
}

void multiply_normed(const NormedProduct& product, const PackedMatrix& weight, Tensor& scratch, Tensor& out) {
  NarrowProduct p = narrow_product(product, weight.shape[0], out);
  auto* data = on_device<const __nv_bfloat16>(weight.panels);
  if (p.rows > kMostNormedRows)
    return multiply_gated(p, {data, true}, on_device<__nv_bfloat16>(scratch), stream_of(out));
  launch_ring<Sharing<1, 1, DenseSource::kTileBytes>, __nv_bfloat16, true>(p, DenseSource{data, true}, stream_of(out),
                                                                           kNormed);
}

const bool provided = normed_product_kernel.provide(Backend::cuda, multiply_normed);

}  // namespace
#endif

}  // namespace lathe
