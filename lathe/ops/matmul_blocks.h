#pragma once

#include "lathe/base/isa.h"
#include "lathe/tensor/dtype.h"

namespace lathe {

/// The register tile of an instruction set: `rows` x `columns` of out, the columns two vectors wide.
struct TileShape {
  int64_t rows, columns;
};
constexpr TileShape tile_of(Isa isa) { return isa == Isa::avx512 ? TileShape{14, 32} : TileShape{6, 16}; }

/// How the vectorized product is cut so that packed parts of a and b stay in the caches (Goto & van de Geijn 2008).
/// Depth is counted in steps of four bytes: one f32 or a pair of bf16. No number depends on the threads.
struct Blocks {
  int64_t rows = 0, columns = 0, steps = 0;  ///< of one block; rows and columns whole tiles
  int64_t total_steps = 0;
  int64_t a_bytes = 0, b_bytes = 0, sum_bytes = 0;  ///< of workspace, in this order
  int64_t bytes() const { return a_bytes + b_bytes + sum_bytes; }
};

/// With `b_packed`, b is a PackedMatrix and takes no workspace.
Blocks blocks_of(Isa isa, int64_t rows, int64_t columns, int64_t depth, DType dtype, DType out_dtype, bool b_packed);

/// Bytes that suffice for any product of at most these extents: what is rehearsed with many rows runs with fewer.
int64_t workspace_bytes(Isa isa, int64_t rows, int64_t columns, int64_t depth, DType dtype, DType out_dtype,
                        bool b_packed);

/// Steps of `depth` elements.
constexpr int64_t steps_of(int64_t depth, DType dtype) { return dtype == DType::bf16 ? (depth + 1) / 2 : depth; }

/// Bytes of a packed [columns, depth]: whole tiles of columns, whole steps; plain keeps it as it is.
int64_t packed_bytes(Isa isa, int64_t columns, int64_t depth, DType dtype);

}  // namespace lathe
