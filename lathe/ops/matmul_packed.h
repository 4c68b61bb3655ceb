#pragma once

#include "lathe/base/isa.h"
#include "lathe/ops/matmul.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// A weight [out, in] rearranged for products with isa(), for inference: read once from end to end by each product, at
/// the speed of memory when x has few rows.
struct PackedMatrix {
  Tensor panels;  ///< bytes that other instruction sets cannot read
  Shape shape;    ///< of the weight
  Isa isa;
};

/// `weight` [out, in], f32 or bf16, packed under the current Purpose. The size depends on shape, type and isa() alone.
/// Throws Error for other shapes and types.
PackedMatrix pack_matrix(const Tensor& weight);

/// Bytes of a packed [out, in]: no fewer than as it is.
int64_t packed_bytes(const Shape& shape, DType dtype);
/// As pack_matrix, in the weight's own bytes and a little workspace: its storage must have packed_bytes(). The weight
/// must not be used afterwards.
PackedMatrix pack_in_place(const Tensor& weight);

/// As matmul with the weight that was packed, to the bit; not differentiable.
Tensor matmul(const Tensor& x, const PackedMatrix& weight, const Epilogue& epilogue = {});

/// Rows ids (i32 [tokens]) of the weight that was packed, as an embedding: [tokens, in]. Ids are not checked.
Tensor packed_rows(const PackedMatrix& weight, const Tensor& ids);

/// rows [tokens, depth] = rows ids of the packed [outer, depth].
constinit inline Kernel<void(const Tensor& panels, const Shape& shape, const Tensor& ids, Tensor& rows)>
    packed_rows_kernel{"packed_rows"};

}  // namespace lathe
