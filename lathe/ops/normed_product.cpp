#include "lathe/ops/normed_product.h"

#include "lathe/ops/matmul_checks.h"
#include "lathe/ops/matmul_product.h"
#include "lathe/ops/rms_norm.h"

namespace lathe {

Tensor normalized(const Tensor& x, const InputNorm& norm) {
  return rms_norm(x, norm.weight, norm.eps, norm.weight_offset);
}

bool has_kernel(const NormedProduct& product, int64_t out, int64_t most_rows) {
  constexpr int64_t kPack = 8, kTile = 16;
  const Tensor &x = product.x, &weight = product.norm.weight;
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  bool fits = weight.elements() == columns && weight.dtype() == DType::f32;
  bool packs = columns % kPack == 0 && x.offset() % 16 == 0 && weight.offset() % 32 == 0;  // as rms_norm reads packs
  return x.device().backend == Backend::cuda && x.dtype() == DType::bf16 && rows > 0 && rows <= most_rows && fits &&
         packs && columns <= kMostNormedColumns && (!product.gate || out % (2 * kTile) == 0);
}

NormedOutput take_in_turn(const NormedProduct& product, int64_t out, int64_t workspace_bytes) {
  const Tensor& x = product.x;
  Tensor rows = Tensor::empty_like(x), whole = Tensor::empty(x.shape().with_columns(out), x.dtype());
  {
    PurposeScope scope(Purpose::workspace);
    Tensor workspace = Tensor::empty({workspace_bytes}, DType::u8);
  }
  rows = Tensor();
  if (!product.gate) return {whole, Tensor()};
  return {Tensor::empty(x.shape().with_columns(out / 2), x.dtype()), whole};
}

Work work_of(const NormedProduct& product, int64_t out) {
  int64_t rows = product.x.shape().rows(), columns = product.x.shape().columns();
  int64_t written = rows * (product.gate ? out / 2 : out);
  int64_t bytes = product.x.bytes() + product.norm.weight.bytes() + written * size_of(product.x.dtype());
  if (product.bias) bytes += product.bias.bytes();
  return {rows * (2 * out * columns + 4 * columns) + (product.gate ? kActivationFlops * written : 0), bytes};
}

Tensor matmul_normed(const Tensor& x, const InputNorm& norm, const PackedMatrix& weight,
                     const NormedEpilogue& epilogue) {
  NormedProduct product{x, norm, epilogue.bias ? *epilogue.bias : Tensor(), epilogue.gate};
  int64_t columns = weight.shape[0];
  int64_t most_rows = epilogue.gate && columns >= weight.shape[1] ? kMostGatedRows : kMostNormedRows;
  if (!normed_product_kernel.has_cuda() || !has_kernel(product, columns, most_rows)) {
    Tensor y = matmul(normalized(x, norm), weight, {.bias = epilogue.bias});
    return epilogue.gate ? gated_activate(y, *epilogue.gate) : y;
  }
  checked_product(x, weight.shape, weight.panels.dtype(), {.bias = epilogue.bias});
  auto [out, scratch] = take_in_turn(product, columns, gpu_product_workspace_bytes(columns, x.dtype(), product.bias));
  Work work = work_of(product, columns);
  work.bytes += weight.panels.bytes();
  normed_product_kernel(work, product, weight, scratch, out);
  return out;
}

}  // namespace lathe
