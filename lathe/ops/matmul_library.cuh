#pragma once
// Products by cuBLASLt.

#include <cublasLt.h>

#include "lathe/tensor/launch.cuh"

namespace lathe {

struct LibraryMatrix {
  const std::byte* data = nullptr;
  cudaDataType_t type = CUDA_R_32F;
  int64_t outer = 0;
  bool across = false;           ///< as Operand::across
  const float* scale = nullptr;  ///< on the device: FP8 only, what its numbers are multiplied with
};

struct LibraryProduct {
  LibraryMatrix a, b;
  int64_t depth = 0;
  std::byte* out = nullptr;  ///< [a.outer, b.outer]
  int64_t out_stride = 0;    ///< elements from one of its rows, and the residual's, to the next; 0: b.outer
  DType out_dtype = DType::f32;
  bool add = false;                     ///< to out; no residual then
  bool precise = true;                  ///< false: FP8 sums may lose bits beyond what its products have
  const float* bias = nullptr;          ///< [b.outer]
  const std::byte* residual = nullptr;  ///< like out
  std::byte* workspace = nullptr;       ///< kGpuProductWorkspace bytes and, with a bias, one row of out behind them
};

cudaDataType_t library_type(DType dtype);

/// out = a b (+ out) (+ bias) (+ residual), sums in f32: f32 is no TF32. The algorithm is chosen as MeasureProducts
/// says, among those that fit the workspace and give the same bits every time; a bias is rounded to out's type.
/// False, and nothing done, where the library cannot: depth 0, combinations of types.
bool multiply_by_library(const LibraryProduct& product, cudaStream_t stream);

}  // namespace lathe
