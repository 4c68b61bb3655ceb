#pragma once

#include "lathe/base/isa.h"
#include "lathe/tensor/dtype.h"

namespace lathe {

/// The register tile of an instruction set: `rows` x `columns` of out, the columns two vectors wide.
struct TileShape {
  int64_t rows, columns;
};
constexpr TileShape tile_of(Isa isa) { return isa == Isa::avx512 ? TileShape{14, 32} : TileShape{6, 16}; }

/// A product on a CPU: what its blocks follow from.
struct ProductExtents {
  int64_t rows, columns, depth;
  DType dtype, out_dtype;
  bool b_packed = false;  ///< b is a PackedMatrix
};

/// How the vectorized product is cut (after Goto & van de Geijn 2008). The operand of fewer rows is kept: its panels
/// are packed once and stay in L3. The other one passes: each thread packs a group of its panels at a time for itself,
/// which its L2 keeps, and multiplies it by all that is kept. Depth is counted in steps of four bytes: one f32 or a
/// pair of bf16. What is added in which order does not depend on the threads.
struct Blocks {
  bool a_passes = true;
  bool kept_by_each = false;                ///< every thread packs all that is kept, for itself: see kFewThreads
  int64_t rows = 0, columns = 0;            ///< of out at a time, whole tiles
  int64_t span = 0;                         ///< steps that are kept at a time
  int64_t steps = 0;                        ///< that a tile adds up in registers
  int64_t group = 0;                        ///< panels that a thread packs at a time
  int64_t beside = 0;                       ///< panels of b that a group of a meets together
  int64_t kept_panel = 0, group_panel = 0;  ///< bytes from one packed panel to the next
  int64_t total_steps = 0;
  int64_t kept_bytes = 0, sum_bytes = 0, group_bytes = 0;  ///< of workspace, in this order; group_bytes for each thread
  int64_t beside_bytes = 0;  ///< behind each thread's group: `beside` panels of pairs as f32; 0: not widened so
  int64_t bytes = 0;         ///< of all workspace: at its end, a cache line a thread
};
Blocks blocks_of(Isa isa, const ProductExtents& extents, int threads);

/// Bytes that suffice for any product of as many rows or fewer: what is rehearsed with many runs with fewer.
int64_t workspace_bytes(Isa isa, const ProductExtents& extents, int threads);

/// Steps of `depth` elements.
constexpr int64_t steps_of(int64_t depth, DType dtype) { return dtype == DType::bf16 ? (depth + 1) / 2 : depth; }

/// Elements of packed `a` in one step of one row: where no instruction multiplies pairs of bf16, packing widens a.
int a_width(Isa isa, bool pairs);

/// Bytes of a packed [columns, depth]: whole tiles of columns, whole steps; plain keeps it as it is.
int64_t packed_bytes(Isa isa, int64_t columns, int64_t depth, DType dtype);

}  // namespace lathe
