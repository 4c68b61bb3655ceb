#pragma once

#include "lathe/ops/matmul_product.h"

namespace lathe {

/// An operand as CPU kernels see it.
struct Matrix {
  const std::byte* data = nullptr;
  int64_t outer = 0, depth = 0;
  int64_t stride = 0;  ///< elements from one row of memory to the next
  bool across = false;
  bool packed = false;  ///< in the panels of isa(); has neither stride nor across
  DType dtype = DType::f32;
};

/// A Product on one CPU, or one group of it.
struct MatrixProduct {
  Matrix a, b;
  std::byte* out = nullptr;  ///< [a.outer, b.outer], contiguous
  DType out_dtype = DType::f32;
  bool add = false;
  const float* bias = nullptr;
  const std::byte* residual = nullptr;  ///< like out
  std::optional<Activation> activation = {};
  std::byte* workspace = nullptr;
  int threads = 1;  ///< that the workspace is for
};

Matrix matrix_of(const Operand& operand);
MatrixProduct matrices_of(const Product& product, const Tensor& workspace, const Tensor& out);
using MultiplyMatrices = void (*)(const MatrixProduct&);
void multiply_each_group(const Product& product, const Tensor& offsets, const Tensor& workspace, const Tensor& out,
                         MultiplyMatrices multiply);

using PackMatrix = void (*)(const Matrix& matrix, std::byte* to);
template <PackMatrix run>
bool provide_packing(Isa isa) {
  return pack_kernel.provide(
      isa, [](const Tensor& weight, Tensor& packed) { run(matrix_of({weight}), packed.data<std::byte>()); });
}

/// Makes a way to multiply matrices the kernels of an instruction set.
template <MultiplyMatrices run>
bool provide_products(Isa isa) {
  product_kernel.provide(
      isa, [](const Product& product, Tensor& workspace, Tensor& out) { run(matrices_of(product, workspace, out)); });
  return group_product_kernel.provide(
      isa, [](const Product& product, const Tensor& offsets, Tensor& workspace, Tensor& out) {
        multiply_each_group(product, offsets, workspace, out, run);
      });
}

}  // namespace lathe
