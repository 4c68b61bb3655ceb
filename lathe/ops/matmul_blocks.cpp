#include "lathe/ops/matmul_blocks.h"

#include <algorithm>

namespace lathe {
namespace {

constexpr int64_t kSteps = 512;           // a panel of b is then 64 KB, which L2 keeps beside panels of a
constexpr int64_t kBlockBytes = 8 << 20;  // of packed a, and of packed b: L3's

int64_t up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

/// The even share of `n` when at most `most` may be taken at once, in whole units.
int64_t share(int64_t n, int64_t most, int64_t unit) {
  most = std::max(most / unit * unit, unit);
  int64_t parts = std::max<int64_t>((n + most - 1) / most, 1);
  return std::max(up((n + parts - 1) / parts, unit), unit);
}

}  // namespace

Blocks blocks_of(Isa isa, int64_t rows, int64_t columns, int64_t depth, DType dtype, DType out_dtype, bool b_packed) {
  TileShape tile = tile_of(isa);
  Blocks blocks;
  blocks.total_steps = steps_of(depth, dtype);
  blocks.steps = share(blocks.total_steps, kSteps, 1);
  blocks.rows = share(rows, kBlockBytes / (4 * blocks.steps), tile.rows);
  blocks.columns = share(columns, kBlockBytes / (4 * blocks.steps), tile.columns);
  int64_t a_width = isa == Isa::avx2 ? 4 * (dtype == DType::bf16 ? 2 : 1) : 4;  // avx2 widens a's pairs as it packs
  blocks.a_bytes = up(blocks.rows * blocks.steps * a_width, 64);
  blocks.b_bytes = b_packed ? 0 : up(blocks.columns * blocks.steps * 4, 64);
  if (out_dtype != DType::f32 && blocks.steps < blocks.total_steps) blocks.sum_bytes = blocks.rows * blocks.columns * 4;
  return blocks;
}

int64_t workspace_bytes(Isa isa, int64_t rows, int64_t columns, int64_t depth, DType dtype, DType out_dtype,
                        bool b_packed) {
  TileShape tile = tile_of(isa);
  int64_t steps = steps_of(depth, dtype), most = kBlockBytes / (4 * (kSteps / 2));
  rows = up(std::max<int64_t>(rows, 1), tile.rows), columns = up(std::max<int64_t>(columns, 1), tile.columns);
  Blocks bound;
  bound.a_bytes = up(std::min(rows * steps * 4, kBlockBytes) * (isa == Isa::avx2 && dtype == DType::bf16 ? 2 : 1), 64);
  bound.b_bytes = b_packed ? 0 : up(std::min(columns * steps * 4, kBlockBytes), 64);
  if (out_dtype != DType::f32 && steps > kSteps) bound.sum_bytes = std::min(rows, most) * std::min(columns, most) * 4;
  return bound.bytes();
}

int64_t packed_bytes(Isa isa, int64_t columns, int64_t depth, DType dtype) {
  if (isa == Isa::plain) return columns * depth * size_of(dtype);
  return up(columns, tile_of(isa).columns) * steps_of(depth, dtype) * 4;
}

}  // namespace lathe
