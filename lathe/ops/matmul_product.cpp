#include "lathe/ops/matmul_product.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

#include "lathe/ops/matmul_blocks.h"
#include "lathe/ops/matmul_choices.h"
#include "lathe/ops/matmul_matrix.h"

namespace lathe {
namespace {

Tensor workspace_of(int64_t bytes) {
  PurposeScope scope(Purpose::workspace);
  return Tensor::empty({bytes}, DType::u8);
}

/// A GPU's is the same for any number of rows; CPUs take what the vectors of isa() need, plain loops nothing.
Tensor workspace_for(const Product& product, const Matrix& a, const Matrix& b, const Tensor& out) {
  if (out.device().backend == Backend::cuda)
    return workspace_of(gpu_product_workspace_bytes(out.shape().columns(), out.dtype(), product.bias));
  if (isa() == Isa::plain) return {};
  ProductExtents extents{a.outer, b.outer, a.depth, a.dtype, out.dtype(), b.packed};
  return workspace_of(workspace_bytes(isa(), extents, omp_get_max_threads()));
}

int64_t bytes_of(const Product& product, const Tensor& out) {
  int64_t bytes = product.a.tensor.bytes() + product.b.tensor.bytes() + (product.add ? 2 : 1) * out.bytes();
  if (product.bias) bytes += product.bias.bytes();
  if (product.residual) bytes += product.residual.bytes();
  return bytes;
}

/// One group's part of a product whose groups are rows of a and out, and parts of b.
void take_rows(MatrixProduct& part, int64_t group, int64_t groups, int64_t first, int64_t end) {
  int64_t b_rows = (part.b.across ? part.b.depth : part.b.outer) / groups;
  (part.b.across ? part.b.depth : part.b.outer) = b_rows;
  part.b.data += group * b_rows * part.b.stride * size_of(part.b.dtype);
  part.a.data += first * part.a.stride * size_of(part.a.dtype);
  part.a.outer = end - first;
  part.out += first * part.b.outer * size_of(part.out_dtype);
}

/// One group's part of a product over the group's rows, into a part of out.
void take_depth(MatrixProduct& part, int64_t group, int64_t first, int64_t end) {
  for (Matrix* matrix : {&part.a, &part.b}) {
    matrix->data += first * matrix->stride * size_of(matrix->dtype);
    matrix->depth = end - first;
  }
  part.out += group * part.a.outer * part.b.outer * size_of(part.out_dtype);
}

int64_t flops_of(const Product& product, const Matrix& a, const Matrix& b) {
  return a.outer * b.outer * (2 * a.depth + (product.activation ? kActivationFlops : 0));
}

}  // namespace

int64_t gpu_product_workspace_bytes(int64_t columns, DType dtype, const Tensor& bias) {
  return kGpuProductWorkspace + (bias ? columns * size_of(dtype) : 0);
}

bool activates_products() { return Runtime::current().device.backend == Backend::cpu; }

Matrix matrix_of(const Operand& operand) {
  bool packed = operand.packed.rank() > 0;
  const Shape& shape = packed ? operand.packed : operand.tensor.shape();
  int64_t rows = shape.rows(), columns = shape.columns();
  return {.data = operand.tensor.data<std::byte>(),
          .outer = operand.across ? columns : rows,
          .depth = operand.across ? rows : columns,
          .stride = columns,
          .across = operand.across,
          .packed = packed,
          .dtype = operand.tensor.dtype()};
}

MatrixProduct matrices_of(const Product& product, const Tensor& workspace, const Tensor& out) {
  return {.a = matrix_of(product.a),
          .b = matrix_of(product.b),
          .out = out.data<std::byte>(),
          .out_dtype = out.dtype(),
          .add = product.add,
          .bias = product.bias ? product.bias.data<float>() : nullptr,
          .residual = product.residual ? product.residual.data<std::byte>() : nullptr,
          .activation = product.activation,
          .workspace = workspace ? workspace.data<std::byte>() : nullptr,
          .threads = omp_get_max_threads()};
}

void multiply_each_group(const Product& product, const Tensor& offsets, const Tensor& workspace, const Tensor& out,
                         MultiplyMatrices multiply) {
  const int32_t* ends = offsets.data<int32_t>();
  int64_t groups = offsets.elements() - 1;
  MatrixProduct whole = matrices_of(product, workspace, out);
  for (int64_t g = 0; g < groups; ++g) {
    MatrixProduct part = whole;
    if (whole.a.across)
      take_depth(part, g, ends[g], ends[g + 1]);
    else
      take_rows(part, g, groups, ends[g], ends[g + 1]);
    multiply(part);
  }
  if (whole.a.across) return;
  int64_t row_bytes = out.shape().rows() ? out.bytes() / out.shape().rows() : 0;
  std::memset(whole.out, 0, size_t(ends[0] * row_bytes));
  std::memset(whole.out + ends[groups] * row_bytes, 0, size_t(out.bytes() - ends[groups] * row_bytes));
}

void multiply(const Product& product, Tensor& out) {
  Matrix a = matrix_of(product.a), b = matrix_of(product.b);
  if (a.depth != b.depth || a.dtype != b.dtype || a.outer * b.outer != out.elements())
    throw InternalError(
        text("a product of ", product.a.tensor.shape(), " and ", product.b.tensor.shape(), " into ", out.shape()));
  Tensor workspace = workspace_for(product, a, b, out);
  product_kernel({flops_of(product, a, b), bytes_of(product, out)}, product, workspace, out);
}

void multiply_groups(const Product& product, const Tensor& offsets, Tensor& out) {
  Matrix a = matrix_of(product.a), b = matrix_of(product.b);
  int64_t groups = std::max<int64_t>(offsets.elements() - 1, 1);
  if (!product.a.across) (b.across ? b.depth : b.outer) /= groups;
  Tensor workspace;
  if (out.device().backend == Backend::cpu) workspace = workspace_for(product, a, b, out);
  group_product_kernel({2 * a.outer * b.outer * a.depth, bytes_of(product, out)}, product, offsets, workspace, out);
}

}  // namespace lathe
