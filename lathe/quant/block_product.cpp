#include "lathe/quant/block_product.h"

#include <omp.h>

#include <algorithm>

#include "lathe/ops/matmul_checks.h"
#include "lathe/ops/matmul_choices.h"
#include "lathe/quant/block_workspace.h"
#include "lathe/quant/rounded_rows.h"

namespace lathe {
namespace {

int64_t bytes_of(const BlockProduct& product, const Tensor& out) {
  int64_t bytes = product.x.bytes() + out.bytes();
  for (const BlockMatrix& part : product.parts) bytes += part.blocks.bytes();
  if (product.bias) bytes += product.bias.bytes();
  if (product.residual) bytes += product.residual.bytes();
  return bytes;
}

Shape shape_of(std::span<const BlockMatrix> parts) {
  int64_t out = 0, in = parts.front().shape[1];
  for (const BlockMatrix& part : parts) {
    if (part.shape[1] != in) throw InternalError(text("parts of a weight of ", in, " and ", part.shape[1], " columns"));
    out += part.shape[0];
  }
  return {out, in};
}

/// Of a GPU, for any number of rows: a slab of the weight, for those that are too many for its blocks.
int64_t gpu_workspace_bytes(const BlockProduct& product) {
  Shape weight = shape_of(product.parts);
  int64_t size = size_of(product.x.dtype()), bias_row = product.bias ? weight[0] * size : 0;
  return gpu_weight_bytes(product) + kGpuProductWorkspace + bias_row;
}

Tensor workspace_for(const BlockProduct& product) {
  PurposeScope scope(Purpose::workspace);
  const Tensor& x = product.x;
  if (x.device().backend == Backend::cuda) return Tensor::empty({gpu_workspace_bytes(product)}, DType::u8);
  int64_t rows = x.shape().rows(), bytes = RoundedRows::bytes(rows, x.shape().columns(), needs_wide(product.parts));
  if (isa() != Isa::plain) bytes += omp_get_max_threads() * BlockWorkspace::bytes(rows);
  return Tensor::empty({bytes}, DType::u8);
}

}  // namespace

int64_t gpu_slab_rows(const BlockProduct& product) {
  constexpr int64_t kBytes = 64 << 20, kTile = 256;
  Shape weight = shape_of(product.parts);
  int64_t row = std::max<int64_t>(weight[1] * size_of(product.x.dtype()), 1);
  return std::min(weight[0], std::max(kBytes / row / kTile, int64_t{1}) * kTile);
}

int64_t gpu_weight_bytes(const BlockProduct& product) {
  int64_t depth = shape_of(product.parts)[1], slab = gpu_slab_rows(product) * depth * size_of(product.x.dtype());
  return (std::max(slab, depth / 32 * kSplitRowsBytes) + 255) / 256 * 256;
}

bool needs_wide(std::span<const BlockMatrix> parts) {
  return std::any_of(parts.begin(), parts.end(), [](const BlockMatrix& part) { return part.format->numbers; });
}

Tensor multiply_blocks(const Tensor& x, std::span<const BlockMatrix> parts, const Epilogue& epilogue) {
  require(x.dtype() == DType::f32 || x.dtype() == DType::bf16, "multiply_blocks: x is ", name_of(x.dtype()),
          "; it must be f32 or bf16");
  Tensor out = Tensor::empty(checked_product(x, shape_of(parts), x.dtype(), epilogue), x.dtype());
  BlockProduct product{.x = x,
                       .parts = parts,
                       .bias = epilogue.bias ? *epilogue.bias : Tensor(),
                       .residual = epilogue.residual ? *epilogue.residual : Tensor()};
  Tensor workspace = workspace_for(product);
  block_product_kernel({2 * out.elements() * x.shape().columns(), bytes_of(product, out)}, product, workspace, out);
  return epilogue.activation ? activate(std::move(out), *epilogue.activation) : out;
}

Tensor multiply_blocks_normed(const Tensor& x, const InputNorm& norm, std::span<const BlockMatrix> parts,
                              const NormedEpilogue& epilogue) {
  NormedProduct product{x, norm, epilogue.bias ? *epilogue.bias : Tensor(), epilogue.gate};
  Shape weight = shape_of(parts);
  bool packed = std::all_of(parts.begin(), parts.end(), [](const BlockMatrix& part) { return part.packed; });
  bool one_kernel = normed_block_product_kernel.has_cuda() && has_kernel(product, weight[0], kMostNormedRows) &&
                    packed && (parts.size() == 1 || !epilogue.gate);
  if (!one_kernel) {
    Tensor y = multiply_blocks(normalized(x, norm), parts, {.bias = epilogue.bias});
    return epilogue.gate ? gated_activate(y, *epilogue.gate) : y;
  }
  checked_product(x, weight, x.dtype(), {.bias = epilogue.bias});
  Tensor out =
      take_in_turn(product, weight[0], gpu_workspace_bytes({.x = x, .parts = parts, .bias = product.bias})).out;
  Work work = work_of(product, weight[0]);
  for (const BlockMatrix& part : parts) work.bytes += part.blocks.bytes();
  normed_block_product_kernel(work, product, parts, out);
  return out;
}

Tensor block_rows(std::span<const BlockMatrix> parts, const Tensor& ids, DType dtype) {
  Shape shape = shape_of(parts);
  Tensor rows = Tensor::empty({ids.elements(), shape[1]}, dtype);
  block_rows_kernel({0, ids.elements() * bytes_of_row(*parts.front().format, shape[1]) + ids.bytes() + rows.bytes()},
                    parts, ids, rows);
  return rows;
}

Tensor dequantized(std::span<const BlockMatrix> parts, DType dtype) {
  Tensor rows = Tensor::empty(shape_of(parts), dtype);
  int64_t bytes = rows.bytes();
  for (const BlockMatrix& part : parts) bytes += part.blocks.bytes();
  block_rows_kernel({0, bytes}, parts, Tensor(), rows);
  return rows;
}

}  // namespace lathe
