#include "lathe/ops/matmul_packed.h"

#include <cstring>

#include "lathe/ops/matmul_blocks.h"
#include "lathe/ops/matmul_checks.h"
#include "lathe/ops/matmul_product.h"

namespace lathe {
namespace {

/// Each element where its panel has it: steps of four bytes, a tile's columns side by side.
template <class T, Isa isa>
void packed_rows_as(const Tensor& panels, const Shape& shape, const Tensor& ids, Tensor& rows) {
  constexpr int64_t kColumns = tile_of(isa).columns, kWidth = 4 / int64_t(sizeof(T));
  int64_t depth = shape[1], steps = steps_of(depth, dtype_of<T>());
  const int32_t* id = ids.data<int32_t>();
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

}  // namespace

PackedMatrix pack_matrix(const Tensor& weight) {
  require(weight.shape().rank() == 2 && (weight.dtype() == DType::f32 || weight.dtype() == DType::bf16),
          "pack_matrix: weight is ", name_of(weight.dtype()), " ", weight.shape(),
          "; it must be f32 or bf16 [out, in]");
  int64_t bytes = packed_bytes(isa(), weight.shape()[0], weight.shape()[1], weight.dtype());
  PackedMatrix packed{Tensor::empty({bytes / size_of(weight.dtype())}, weight.dtype()), weight.shape(), isa()};
  pack_kernel({0, weight.bytes() + bytes}, weight, packed.panels);
  return packed;
}

Tensor matmul(const Tensor& x, const PackedMatrix& weight, const Epilogue& epilogue) {
  check_isa(weight);
  Tensor y = Tensor::empty(checked_product(x, weight.shape, weight.panels.dtype(), epilogue), x.dtype());
  Tensor none;
  multiply({.a = {x},
            .b = {weight.panels, false, weight.shape},
            .bias = epilogue.bias ? *epilogue.bias : none,
            .residual = epilogue.residual ? *epilogue.residual : none},
           y);
  return y;
}

Tensor packed_rows(const PackedMatrix& weight, const Tensor& ids) {
  check_isa(weight);
  Tensor rows = Tensor::empty({ids.elements(), weight.shape[1]}, weight.panels.dtype());
  packed_rows_kernel({0, 2 * rows.bytes() + ids.bytes()}, weight.panels, weight.shape, ids, rows);
  return rows;
}

}  // namespace lathe
