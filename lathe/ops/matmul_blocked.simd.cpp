#include "lathe/ops/matmul_packing.h"

namespace lathe::LATHE_ISA {
namespace {

constexpr int64_t kGroupBytes = 400 << 10;  // of packed a, which one core's L2 keeps while panels of b pass
constexpr int64_t kFewFlops = 1 << 17;      // not worth a second thread

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t parts_of(int64_t n, int64_t unit) { return (n + unit - 1) / unit; }

/// Tiles of `rows` rows and 1, 2 or 4 panels: few rows need more panels to keep the multipliers busy. One row waits for
/// memory instead, which gives one run of b faster than four; avx2's narrow vectors would wait for each other, though.
constexpr int panels_for(int64_t rows) {
  if (rows == 1 && kIsa == Isa::avx512) return 1;
  return rows <= kTileRows / 4 ? 4 : rows <= kTileRows / 2 ? 2 : 1;
}

template <bool pairs, int rows = kTileRows>
Tile tile_for(int64_t wanted, int64_t panels) {
  if constexpr (rows > 1)
    if (wanted != rows) return tile_for<pairs, rows - 1>(wanted, panels);
  if constexpr (panels_for(rows) == 4)
    if (panels == 4) return tile<rows, 4, pairs>;
  if constexpr (panels_for(rows) >= 2)
    if (panels == 2) return tile<rows, 2, pairs>;
  return tile<rows, 1, pairs>;
}

uint16_t bf16_of(float value) {
  uint32_t all;
  __builtin_memcpy(&all, &value, 4);
  bool nan = (all & 0x7fffffffu) > 0x7f800000u;
  return nan ? uint16_t((all >> 16) | 64u) : uint16_t((all + 0x7fffu + ((all >> 16) & 1u)) >> 16);
}

float of_bf16(uint16_t bits) {
  uint32_t all = uint32_t(bits) << 16;
  float value;
  __builtin_memcpy(&value, &all, 4);
  return value;
}

/// One run over a product: its cut, and the packed parts that its threads share. run() is called by all of them.
class BlockedProduct {
 public:
  explicit BlockedProduct(const MatrixProduct& product)
      : product_(product),
        pairs_(product.a.dtype == DType::bf16),
        rows_(product.a.outer),
        columns_(product.b.outer),
        blocks_(
            blocks_of(kIsa, rows_, columns_, product.a.depth, product.a.dtype, product.out_dtype, product.b.packed)),
        a_(reinterpret_cast<uint32_t*>(product.workspace)),
        b_(reinterpret_cast<uint32_t*>(product.workspace + blocks_.a_bytes)),
        sums_(reinterpret_cast<float*>(product.workspace + blocks_.a_bytes + blocks_.b_bytes)) {
    if (product.b.packed) b_ = reinterpret_cast<uint32_t*>(const_cast<std::byte*>(product.b.data));
  }

  void run() {
    Place a_there{-1, -1}, b_there{-1, -1};
    for (int64_t i = 0; i < rows_; i += blocks_.rows)
      for (int64_t j = 0; j < columns_; j += blocks_.columns)
        for (int64_t s = 0; s == 0 || s < blocks_.total_steps; s += blocks_.steps) {
          Block block{i, least(blocks_.rows, rows_ - i),
                      j, least(blocks_.columns, columns_ - j),
                      s, least(blocks_.steps, blocks_.total_steps - s)};
          if (!a_there.is(i, s)) pack_a(block);
          if (!product_.b.packed && !b_there.is(j, s)) pack_b(block);
#pragma omp barrier
          multiply(block);
          a_there = {i, s}, b_there = {j, s};
        }
  }

 private:
  struct Place {
    int64_t outer, step;
    bool is(int64_t o, int64_t s) const { return outer == o && step == s; }
  };
  struct Block {
    int64_t row, rows, column, columns, step, steps;
  };

  const MatrixProduct& product_;
  bool pairs_;
  int64_t rows_, columns_;
  Blocks blocks_;
  uint32_t *a_, *b_;
  float* sums_;

  int64_t a_panel_size(const Block& block) const { return kTileRows * block.steps * a_width(pairs_); }
  int64_t b_panel_size(const Block& block) const {
    return kTileColumns * (product_.b.packed ? blocks_.total_steps : block.steps);
  }

  void pack_a(const Block& block) {
    int64_t panels = parts_of(block.rows, kTileRows);
#pragma omp for schedule(dynamic, 4) nowait
    for (int64_t p = 0; p < panels; ++p) {
      int64_t first = p * kTileRows;
      pack_rows(product_.a, {block.row + first, least(kTileRows, block.rows - first), block.step, block.steps},
                a_ + p * a_panel_size(block));
    }
  }

  void pack_b(const Block& block) {
    int64_t panels = parts_of(block.columns, kTileColumns);
#pragma omp for schedule(dynamic, 4) nowait
    for (int64_t p = 0; p < panels; ++p) {
      int64_t first = p * kTileColumns;
      pack_columns(product_.b,
                   {block.column + first, least(kTileColumns, block.columns - first), block.step, block.steps},
                   kTileColumns, b_ + p * b_panel_size(block));
    }
  }

  void multiply(const Block& block) {
    int64_t panels = parts_of(block.columns, kTileColumns), wide = 2;
    if (block.rows <= kTileRows) wide = 4;
    int64_t group = kGroupBytes / (4 * kTileRows * blocks_.steps * a_width(pairs_));
    group = kTileRows * (group < 2 ? 2 : group > 16 ? 16 : group);
    int64_t across = parts_of(panels, wide), units = across * parts_of(block.rows, group);
    if (block.rows <= kTileRows) {  // reads b once: a run of it a thread, which memory gives faster than turns
#pragma omp for schedule(static)
      for (int64_t unit = 0; unit < units; ++unit) multiply_one(block, unit, across, group, wide);
      return;
    }
#pragma omp for schedule(dynamic, 1)
    for (int64_t unit = 0; unit < units; ++unit) multiply_one(block, unit, across, group, wide);
  }

  void multiply_one(const Block& block, int64_t unit, int64_t across, int64_t group, int64_t wide) {
    int64_t row = unit / across * group, panel = unit % across * wide, panels = parts_of(block.columns, kTileColumns);
    multiply_unit(block, row, least(row + group, block.rows), panel, least(panel + wide, panels));
  }

  void multiply_unit(const Block& block, int64_t row, int64_t row_end, int64_t panel, int64_t panel_end) {
    int64_t rows = row_end - row, wide = panels_for(rows);
    for (; panel < panel_end; panel += wide) {
      while (wide > panel_end - panel) wide /= 2;
      for (int64_t i = row; i < row_end; i += kTileRows)
        multiply_tile(block, i, least(kTileRows, row_end - i), panel, wide);
    }
  }

  void multiply_tile(const Block& block, int64_t row, int64_t rows, int64_t panel, int64_t wide) {
    const float* a = reinterpret_cast<const float*>(a_ + row / kTileRows * a_panel_size(block));
    const uint32_t* from = b_ + (product_.b.packed ? block.step * kTileColumns : 0);
    if (product_.b.packed) from += block.column / kTileColumns * b_panel_size(block);
    const float* b = reinterpret_cast<const float*>(from + panel * b_panel_size(block));
    Tile tile_of_rows = pairs_ ? tile_for<true>(rows, wide) : tile_for<false>(rows, wide);
    bool add = product_.add || block.step > 0, last = block.step + block.steps == blocks_.total_steps;
    int64_t column = panel * kTileColumns, columns = least(wide * kTileColumns, block.columns - column);
    bool f32 = product_.out_dtype == DType::f32;
    float* sums = f32 ? reinterpret_cast<float*>(product_.out) + (block.row + row) * columns_ + block.column + column
                      : sums_ + row * blocks_.columns + column;
    int64_t stride = f32 ? columns_ : blocks_.columns;
    bool plain = !last || (f32 && !product_.bias && !product_.residual);
    if (plain && columns == wide * kTileColumns)
      return tile_of_rows(block.steps, a, b, b_panel_size(block), sums, stride, add);

    alignas(64) float buffer[kTileRows * kTileColumns];
    int64_t buffer_stride = wide * kTileColumns;
    if (add) copy(rows, columns, sums, stride, buffer, buffer_stride);
    tile_of_rows(block.steps, a, b, b_panel_size(block), buffer, buffer_stride, add);
    if (plain) return copy(rows, columns, buffer, buffer_stride, sums, stride);
    for (int64_t r = 0; r < rows; ++r)
      finish(buffer + r * buffer_stride, block.row + row + r, block.column + column, columns);
  }

  static void copy(int64_t rows, int64_t columns, const float* from, int64_t from_stride, float* to,
                   int64_t to_stride) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < columns; ++j) to[r * to_stride + j] = from[r * from_stride + j];
  }

  /// Writes a piece of a row of out: sums, bias, residual.
  void finish(float* sums, int64_t row, int64_t column, int64_t columns) const {
    int64_t at = row * columns_ + column;
    if (product_.bias)
      for (int64_t j = 0; j < columns; ++j) sums[j] += product_.bias[column + j];
    if (product_.out_dtype == DType::f32) {
      const float* residual = reinterpret_cast<const float*>(product_.residual);
      float* out = reinterpret_cast<float*>(product_.out) + at;
      for (int64_t j = 0; j < columns; ++j) out[j] = residual ? sums[j] + residual[at + j] : sums[j];
      return;
    }
    const uint16_t* residual = reinterpret_cast<const uint16_t*>(product_.residual);
    uint16_t* out = reinterpret_cast<uint16_t*>(product_.out) + at;
    if (residual)
      for (int64_t j = 0; j < columns; ++j) sums[j] += of_bf16(residual[at + j]);
    for (int64_t j = 0; j < columns; ++j) out[j] = bf16_of(sums[j]);
  }
};

void multiply_blocked(const MatrixProduct& product) {
  BlockedProduct run(product);
#pragma omp parallel if (product.a.outer * product.b.outer * product.a.depth > kFewFlops)
  run.run();
}

void pack_panels(const Matrix& matrix, std::byte* to) {
  int64_t steps = steps_of(matrix.depth, matrix.dtype), panels = parts_of(matrix.outer, kTileColumns);
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < panels; ++p) {
    int64_t first = p * kTileColumns;
    pack_columns(matrix, {first, least(kTileColumns, matrix.outer - first), 0, steps}, kTileColumns,
                 reinterpret_cast<uint32_t*>(to) + p * kTileColumns * steps);
  }
}

const bool provided = provide_products<multiply_blocked>(kIsa) && provide_packing<pack_panels>(kIsa);

}  // namespace
}  // namespace lathe::LATHE_ISA
