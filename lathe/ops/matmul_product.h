#pragma once

#include <optional>

#include "lathe/ops/activation.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// One operand of a product over `depth`, as a matrix in memory.
struct Operand {
  Tensor tensor;
  bool across = false;  ///< false: [outer, depth], depth contiguous; true: [depth, outer]
  Shape packed = {};    ///< [outer, depth], when `tensor` holds them packed (b only)
};

/// out = activation(a b (+ out) (+ bias) (+ residual)) over the operands' common depth; sums are f32, in the order of
/// depth. The activation is of what `out` would hold without it.
struct Product {
  Operand a, b;
  bool add = false;                           ///< to what `out` holds; f32 outputs only
  Tensor bias = {};                           ///< f32, one a column of out
  Tensor residual = {};                       ///< like out
  std::optional<Activation> activation = {};  ///< only where activates_products()
};

/// Whether the device's products take an activation: those of CPUs do.
bool activates_products();

/// What any product on a GPU takes, with an output of these columns.
int64_t gpu_product_workspace_bytes(int64_t columns, DType dtype, const Tensor& bias);

/// Runs `product` into `out` [a's outer, b's outer].
void multiply(const Product& product, Tensor& out);

/// For each group g of the rows [offsets[g], offsets[g + 1]) of a's tensor (i32, as values; they change no shape):
/// when a is not across, out's same rows = those rows times part g of b's first extent, and rows of no group become 0;
/// when both are across, part g of out's first extent = the product over those rows of both.
void multiply_groups(const Product& product, const Tensor& offsets, Tensor& out);

/// packed = weight [outer, depth], rearranged for products with isa(); f32 or bf16.
constinit inline Kernel<void(const Tensor& weight, Tensor& packed)> pack_kernel{"matmul_pack"};
constinit inline Kernel<void(const Product& product, Tensor& workspace, Tensor& out)> product_kernel{"matmul"};
constinit inline Kernel<void(const Product& product, const Tensor& offsets, Tensor& workspace, Tensor& out)>
    group_product_kernel{"matmul_groups"};

}  // namespace lathe
