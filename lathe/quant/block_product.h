#pragma once

#include <span>

#include "lathe/base/isa.h"
#include "lathe/ops/normed_product.h"
#include "lathe/quant/block_format.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// A weight [out, in] in blocks, as files have it: row after row. Or packed, for products with isa().
struct BlockMatrix {
  const BlockFormat* format = nullptr;
  Tensor blocks;  ///< u8
  Shape shape;
  bool packed = false;  ///< in the panels of isa(), or in the records of a GPU (block_records.h)
};

/// x wᵀ (+ bias) (+ residual), where the rows of w are those of `parts` in turn, of one `in`: x [..., in] -> [...,
/// out]. x is f32 or bf16. Each 32 elements of it are rounded to signed bytes (for F16, to 13 bits) with a f32 scale of
/// their own, no coarser than llama.cpp does; products of codes are exact, and sums are f32, in the order of `in`
/// whatever the number of rows or threads. On a GPU up to 32 rows of bf16 are rounded to 16 bits instead; for more, and
/// for f32, w is dequantized into workspace of x's type, a slab at a time. Throws Error when the shapes or types do not
/// fit. Not differentiable.
Tensor multiply_blocks(const Tensor& x, std::span<const BlockMatrix> parts, const Epilogue& epilogue = {});

/// multiply_blocks() of normalized(x, norm), gated where asked for, to the bit.
Tensor multiply_blocks_normed(const Tensor& x, const InputNorm& norm, std::span<const BlockMatrix> parts,
                              const NormedEpilogue& epilogue);

/// Rows ids (i32 [tokens]) of w, as an embedding: [tokens, in] in `dtype`, rounded once. Ids are not checked.
Tensor block_rows(std::span<const BlockMatrix> parts, const Tensor& ids, DType dtype);

/// All of w, [out, in] in `dtype`.
Tensor dequantized(std::span<const BlockMatrix> parts, DType dtype);

/// Bytes of a packed [out, in]: no fewer than as files have it.
int64_t packed_bytes(const BlockFormat& format, const Shape& shape);
/// Packs rows u8 [out, bytes of a row] in their own bytes and a little workspace: their storage must have
/// packed_bytes(). They must not be used afterwards.
BlockMatrix pack_in_place(const BlockFormat& format, const Tensor& rows);

/// Whether x is to be rounded to 16-bit integers too: for F16.
bool needs_wide(std::span<const BlockMatrix> parts);

/// What the kernels read.
struct BlockProduct {
  Tensor x;
  std::span<const BlockMatrix> parts;
  Tensor bias, residual;
};
constexpr int64_t kSplitRowsBytes = 32 * 80;  ///< of 32 elements of up to 32 rows of x, as a GPU splits them
/// Rows of w that a GPU dequantizes at a time: 64 MiB of them.
int64_t gpu_slab_rows(const BlockProduct& product);
/// Of a GPU's workspace: where they are dequantized to, or few rows of x are split to; kGpuProductWorkspace follows.
int64_t gpu_weight_bytes(const BlockProduct& product);
constinit inline Kernel<void(const BlockProduct& product, Tensor& workspace, Tensor& out)> block_product_kernel{
    "block_product"};
/// Of one row of bf16, on GPUs alone; only one part where there are gates.
constinit inline Kernel<void(const NormedProduct& product, std::span<const BlockMatrix> parts, Tensor& out)>
    normed_block_product_kernel{"block_product_normed"};
/// The reference, which reads rows as files have them.
void multiply_blocks_plain(const BlockProduct& product, Tensor& workspace, Tensor& out);
/// Without ids: every row in turn.
constinit inline Kernel<void(std::span<const BlockMatrix> parts, const Tensor& ids, Tensor& rows)> block_rows_kernel{
    "block_rows"};
/// packed = panels (block_panels.h) of `rows` [rows, bytes of a row], which may be the same bytes: they are copied
/// first.
constinit inline Kernel<void(const BlockFormat& format, const Tensor& rows, Tensor& copy, Tensor& packed)>
    block_pack_kernel{"block_pack"};

}  // namespace lathe
