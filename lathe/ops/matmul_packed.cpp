#include "lathe/ops/matmul_packed.h"

#include <algorithm>
#include <cstring>

#include "lathe/ops/matmul_blocks.h"
#include "lathe/ops/matmul_checks.h"
#include "lathe/ops/matmul_product.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

constexpr int64_t kParallelLines = 1 << 12;  ///< of cache, one an element, that one thread reads sooner than two begin

/// Each element where its panel has it: steps of four bytes, a tile's columns side by side.
template <class T, Isa isa>
void packed_rows_as(const Tensor& panels, const Shape& shape, const Tensor& ids, Tensor& rows) {
  constexpr int64_t kColumns = tile_of(isa).columns, kWidth = 4 / int64_t(sizeof(T));
  int64_t depth = shape[1], steps = steps_of(depth, dtype_of<T>());
  const int32_t* id = ids.data<int32_t>();
#pragma omp parallel for schedule(static) if (rows.elements() > kParallelLines)
  for (int64_t i = 0; i < ids.elements(); ++i) {
    const T* from = panels.data<T>() + (id[i] / kColumns * steps * kColumns + id[i] % kColumns) * kWidth;
    T* to = rows.data<T>() + i * depth;
    for (int64_t k = 0; k < depth; ++k) to[k] = from[k / kWidth * kColumns * kWidth + k % kWidth];
  }
}

template <Isa isa>
void packed_rows_of(const Tensor& panels, const Shape& shape, const Tensor& ids, Tensor& rows) {
  if (panels.dtype() == DType::f32) return packed_rows_as<float, isa>(panels, shape, ids, rows);
  packed_rows_as<BF16, isa>(panels, shape, ids, rows);
}

void packed_rows_plain(const Tensor& panels, const Shape& shape, const Tensor& ids, Tensor& rows) {
  int64_t row_bytes = shape[1] * size_of(panels.dtype());
  for (int64_t i = 0; i < ids.elements(); ++i)
    std::memcpy(rows.data<std::byte>() + i * row_bytes, panels.data<std::byte>() + ids.data<int32_t>()[i] * row_bytes,
                size_t(row_bytes));
}

const bool provided = packed_rows_kernel.provide(Isa::plain, packed_rows_plain) &&
                      packed_rows_kernel.provide(Isa::avx2, packed_rows_of<Isa::avx2>) &&
                      packed_rows_kernel.provide(Isa::avx512, packed_rows_of<Isa::avx512>);

void check_isa(const PackedMatrix& weight) {
  if (weight.isa != isa())
    throw InternalError(text("a matrix packed for ", isa_name(weight.isa), " is used with ", isa_name(isa())));
}

void check_weight(const Tensor& weight) {
  require(weight.shape().rank() == 2 && (weight.dtype() == DType::f32 || weight.dtype() == DType::bf16),
          "pack_matrix: weight is ", name_of(weight.dtype()), " ", weight.shape(),
          "; it must be f32 or bf16 [out, in]");
}

constexpr int64_t kPackBytes = 1 << 20;  ///< that a weight is copied out in at a time

}  // namespace

/// For a GPU, packed is as it was.
int64_t packed_bytes(const Shape& shape, DType dtype) {
  if (Runtime::current().device.backend == Backend::cuda) return shape.elements() * size_of(dtype);
  return packed_bytes(isa(), shape[0], shape[1], dtype);
}

PackedMatrix pack_in_place(const Tensor& weight) {
  check_weight(weight);
  int64_t rows = weight.shape()[0], depth = weight.shape()[1], size = size_of(weight.dtype());
  int64_t tile = tile_of(isa()).columns, panel_bytes = packed_bytes(isa(), tile, depth, weight.dtype());
  int64_t bytes = packed_bytes(weight.shape(), weight.dtype());
  auto bytes_at = [&](int64_t first, int64_t count) {
    return Tensor::view(weight.shared_storage(), weight.offset() + first, {count / size}, weight.dtype());
  };
  if (weight.offset() + bytes > weight.storage().bytes())
    throw InternalError(text("a weight ", weight.shape(), " has no room for its ", bytes, " packed bytes"));
  PackedMatrix packed{bytes_at(0, bytes), weight.shape(), isa()};
  if (isa() == Isa::plain || weight.device().backend == Backend::cuda) return packed;
  int64_t most = std::max<int64_t>(kPackBytes / panel_bytes, 1) * tile;
  PurposeScope scope(Purpose::workspace);
  Tensor out = Tensor::empty({std::min(most, rows), depth}, weight.dtype());
  for (int64_t first = (rows - 1) / most * most; first >= 0; first -= most) {  // backwards: panels are no smaller
    Tensor some = out.rows(0, std::min(most, rows - first));
    Tensor panels = bytes_at(first / tile * panel_bytes, packed_bytes(some.shape(), some.dtype()));
    copy(weight.rows(first, some.shape()[0]), some);
    pack_kernel({0, some.bytes() + panels.bytes()}, some, panels);
  }
  return packed;
}

PackedMatrix pack_matrix(const Tensor& weight) {
  check_weight(weight);
  int64_t bytes = packed_bytes(weight.shape(), weight.dtype());
  PackedMatrix packed{Tensor::empty({bytes / size_of(weight.dtype())}, weight.dtype()), weight.shape(), isa()};
  pack_kernel({0, weight.bytes() + bytes}, weight, packed.panels);
  return packed;
}

Tensor matmul(const Tensor& x, const PackedMatrix& weight, const Epilogue& epilogue) {
  check_isa(weight);
  Tensor y = Tensor::empty(checked_product(x, weight.shape, weight.panels.dtype(), epilogue), x.dtype());
  Tensor none;
  bool apart = !activates_products();
  multiply({.a = {x},
            .b = {weight.panels, false, weight.shape},
            .bias = epilogue.bias ? *epilogue.bias : none,
            .residual = epilogue.residual ? *epilogue.residual : none,
            .activation = apart ? std::nullopt : epilogue.activation},
           y);
  return apart && epilogue.activation ? activate(std::move(y), *epilogue.activation) : y;
}

Tensor packed_rows(const PackedMatrix& weight, const Tensor& ids) {
  check_isa(weight);
  Tensor rows = Tensor::empty({ids.elements(), weight.shape[1]}, weight.panels.dtype());
  packed_rows_kernel({0, 2 * rows.bytes() + ids.bytes()}, weight.panels, weight.shape, ids, rows);
  return rows;
}

}  // namespace lathe
