#include <omp.h>

#include <atomic>

#include "lathe/ops/activation_lanes.h"
#include "lathe/ops/matmul_packing.h"

namespace lathe::LATHE_ISA {
namespace {

constexpr int64_t kFewFlops = 1 << 17;  // not worth a second thread
constexpr int64_t kKeptSteps = 64;      // that a thread packs at a time of what is kept and lies across
constexpr int64_t kWorthWidening = 8;   // panels of a that share what was widened

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t parts_of(int64_t n, int64_t unit) { return (n + unit - 1) / unit; }

/// Tiles of `rows` rows and 1, 2 or 4 panels: few rows need more panels to keep the multipliers busy. One row waits for
/// memory instead, which gives one run of b faster than four; avx2's narrow vectors would wait for each other, though.
constexpr int panels_for(int64_t rows) {
  if (rows == 1 && kIsa == Isa::avx512) return 1;
  return rows <= kTileRows / 4 ? 4 : rows <= kTileRows / 2 ? 2 : 1;
}

template <Steps kind, int rows = kTileRows>
Tile tile_for(int64_t wanted, int64_t panels) {
  if constexpr (rows > 1)
    if (wanted != rows) return tile_for<kind, rows - 1>(wanted, panels);
  if constexpr (panels_for(rows) == 4)
    if (panels == 4) return tile<rows, 4, kind>;
  if constexpr (panels_for(rows) >= 2)
    if (panels == 2) return tile<rows, 2, kind>;
  return tile<rows, 1, kind>;
}

Tile tile_for(Steps kind, int64_t rows, int64_t panels) {
  if (kind == Steps::f32) return tile_for<Steps::f32>(rows, panels);
#ifdef LATHE_ISA_avx512
  if (kind == Steps::pairs) return tile_for<Steps::pairs>(rows, panels);
#endif
  return tile_for<Steps::widened>(rows, panels);
}

Steps steps_for(DType dtype) {
  if (dtype == DType::f32) return Steps::f32;
  return a_width(kIsa, true) == 2 ? Steps::widened : Steps::pairs;
}

/// Rows of a tile of out where it lies, `stride` elements apart.
using ActivateTile = void (*)(std::byte* out, int64_t stride, int64_t rows, int64_t columns);

template <class T, class A>
void activate_tile(std::byte* out, int64_t stride, int64_t rows, int64_t columns) {
  T* row = reinterpret_cast<T*>(out);
  for (int64_t r = 0; r < rows; ++r, row += stride)
    columns == kTileColumns ? forward<T, A>(row, row, kTileColumns) : forward<T, A>(row, row, columns);
}

ActivateTile activation_for(const MatrixProduct& product) {
  if (!product.activation) return nullptr;
  ActivateTile found = nullptr;
  visit(product.out_dtype, *product.activation, [&]<class T, class A>() { found = activate_tile<T, A>; });
  return found;
}

/// One run over a product: its cut, and the packed parts that its threads share. run() is called by all of them.
class BlockedProduct {
 public:
  explicit BlockedProduct(const MatrixProduct& product)
      : product_(product),
        steps_(steps_for(product.a.dtype)),
        rows_(product.a.outer),
        columns_(product.b.outer),
        blocks_(blocks_of(kIsa,
                          {rows_, columns_, product.a.depth, product.a.dtype, product.out_dtype, product.b.packed},
                          product.threads)),
        passing_(blocks_.a_passes ? product.a : product.b),
        kept_(blocks_.a_passes ? product.b : product.a),
        sums_(reinterpret_cast<float*>(product.workspace + kept_bytes())),
        activate_(activation_for(product)) {}

  void run() {
    bool first = true;
    for (int64_t i = 0; i < rows_; i += blocks_.rows)
      for (int64_t j = 0; j < columns_; j += blocks_.columns)
        for (int64_t s = 0; s == 0 || s < blocks_.total_steps; s += blocks_.span) {
          if (!first) {
#pragma omp barrier  // all are done with what was kept
          }
          first = false;
          Block block{i, least(blocks_.rows, rows_ - i),
                      j, least(blocks_.columns, columns_ - j),
                      s, least(blocks_.span, blocks_.total_steps - s)};
          begin(block);
          if (!kept_.packed) pack_kept(block);
#pragma omp barrier
          multiply(block);
        }
  }

 private:
  struct Block {
    int64_t row, rows, column, columns, step, steps;
  };
  struct Range {
    int64_t begin, end;
  };
  /// Panels of a and b that are multiplied by each other, over `steps` from `step` on; pointers are to the first of
  /// all, of which the ranges take some.
  struct Meeting {
    const uint32_t *a, *b;
    int64_t a_stride, b_stride;  ///< from one panel to the next
    int64_t a_steps, b_steps;    ///< that the panels have before this
    int64_t a_first, b_first;    ///< number of the panel that the pointer is to
    int64_t step, steps;
    Steps kind;  ///< f32: of steps that were pairs, if steps_ is not
  };

  const MatrixProduct& product_;
  Steps steps_;
  int64_t rows_, columns_;
  Blocks blocks_;
  const Matrix &passing_, &kept_;
  float* sums_;
  ActivateTile activate_;  ///< null: nothing

  int64_t width(bool of_a) const { return of_a ? kTileRows : kTileColumns; }
  Panels panels(bool of_a, uint32_t* to, int64_t bytes) const {
    return {.to = to,
            .width = width(of_a),
            .stride = bytes / 4,
            .filled_up = !of_a,
            .widened = of_a && steps_ == Steps::widened};
  }

  int64_t kept_bytes() const { return blocks_.kept_bytes * (blocks_.kept_by_each ? product_.threads : 1); }
  uint32_t* kept_panels() const {
    int64_t thread = blocks_.kept_by_each ? omp_get_thread_num() : 0;
    return reinterpret_cast<uint32_t*>(product_.workspace + thread * blocks_.kept_bytes);
  }
  uint32_t* own_group() const {
    return reinterpret_cast<uint32_t*>(product_.workspace + kept_bytes() + blocks_.sum_bytes +
                                       omp_get_thread_num() * (blocks_.group_bytes + blocks_.beside_bytes));
  }
  float* own_beside() const { return reinterpret_cast<float*>(own_group()) + blocks_.group_bytes / 4; }
  /// The next panel of a thread's share, in a cache line of its own.
  std::atomic_ref<int64_t> next_of(int thread) const {
    std::byte* lines = product_.workspace + blocks_.bytes - product_.threads * 64;
    return std::atomic_ref(*reinterpret_cast<int64_t*>(lines + thread * 64));
  }
  int64_t passing_panels(const Block& block) const {
    return parts_of(blocks_.a_passes ? block.rows : block.columns, width(blocks_.a_passes));
  }

  void begin(const Block& block) {
    int64_t thread = omp_get_thread_num();
    next_of(int(thread)).store(passing_panels(block) * thread / omp_get_num_threads(), std::memory_order_relaxed);
  }

  void pack_kept(const Block& block) {
    bool of_a = !blocks_.a_passes;
    Part all{of_a ? block.row : block.column, of_a ? block.rows : block.columns, block.step, block.steps};
    Panels to = panels(of_a, kept_panels(), blocks_.kept_panel);
    if (blocks_.kept_by_each) return pack(kept_, all, to);
    int64_t steps = kept_.across ? kKeptSteps : all.steps + 1, outer = kept_.across ? all.outer : to.width;
    int64_t down = parts_of(all.steps, steps), units = down * parts_of(all.outer, outer);
#pragma omp for schedule(dynamic, 1) nowait
    for (int64_t unit = 0; unit < units; ++unit) {
      int64_t i = unit / down * outer, s = unit % down * steps;
      Panels part = to;
      part.to += i / to.width * to.stride;
      part.step = s;
      pack(kept_, {all.first + i, least(outer, all.outer - i), all.first_step + s, least(steps, all.steps - s)}, part);
    }
  }

  /// A group of panels: of this thread's share, in order, as other kernels divide rows; then of what others have left.
  Range take(int64_t count) const {
    int threads = omp_get_num_threads(), me = omp_get_thread_num();
    for (int i = 0; i < threads; ++i) {
      int owner = (me + i) % threads;
      int64_t end = count * (owner + 1) / threads, at = next_of(owner).load(std::memory_order_relaxed);
      while (at < end) {
        int64_t some = least(parts_of(end - at, 2), blocks_.group);  // smaller towards the end: all end together
        if (next_of(owner).compare_exchange_weak(at, at + some, std::memory_order_relaxed)) return {at, at + some};
      }
    }
    return {0, 0};
  }

  void multiply(const Block& block) {
    int64_t count = passing_panels(block);
    for (Range group = take(count), next; group.end > group.begin; group = next) {
      next = take(count);
      multiply_group(block, group, next);
    }
  }

  Part passing_part(const Block& block, Range group, int64_t step) const {
    bool of_a = blocks_.a_passes;
    int64_t first = group.begin * width(of_a), end = least(group.end * width(of_a), of_a ? block.rows : block.columns);
    return {(of_a ? block.row : block.column) + first, end - first, block.step + step,
            least(blocks_.steps, block.steps - step)};
  }

  void multiply_group(const Block& block, Range group, Range next) {
    bool of_a = blocks_.a_passes;
    uint32_t *own = own_group(), *kept = kept_panels();
    Range all{0, parts_of(of_a ? block.columns : block.rows, width(!of_a))};
    for (int64_t s = 0; s == 0 || s < block.steps; s += blocks_.steps) {
      Part part = passing_part(block, group, s);
      Ahead ahead;
      if (!passing_.packed) {
        pack(passing_, part, panels(of_a, own, blocks_.group_panel));
        if (s + blocks_.steps < block.steps)
          ahead = Ahead(passing_, passing_part(block, group, s + blocks_.steps));
        else if (next.end > next.begin)
          ahead = Ahead(passing_, passing_part(block, next, 0));
      }
      Meeting meeting{.a = of_a ? own : kept,
                      .b = of_a ? kept : own,
                      .a_stride = (of_a ? blocks_.group_panel : blocks_.kept_panel) / 4,
                      .b_stride = (of_a ? blocks_.kept_panel : blocks_.group_panel) / 4,
                      .a_steps = of_a ? 0 : s,
                      .b_steps = of_a ? s : 0,
                      .a_first = of_a ? group.begin : 0,
                      .b_first = of_a ? 0 : group.begin,
                      .step = part.first_step,
                      .steps = part.steps,
                      .kind = steps_};
      if (product_.b.packed) take_packed(block, meeting);
      meet(block, meeting, of_a ? group : all, of_a ? all : group, ahead);
    }
  }

  void take_packed(const Block& block, Meeting& meeting) const {
    meeting.b = reinterpret_cast<const uint32_t*>(product_.b.data);
    meeting.b_stride = kTileColumns * blocks_.total_steps;
    meeting.b_first = -block.column / kTileColumns;
    meeting.b_steps = meeting.step;
  }

  /// A few panels of b stay in the core's L2 while those of a pass.
  void meet(const Block& block, const Meeting& meeting, Range a, Range b, Ahead ahead) {
    int64_t lines = parts_of(ahead.lines(), (a.end - a.begin) * (b.end - b.begin));
    bool widens = blocks_.beside_bytes > 0 && a.end - a.begin >= kWorthWidening;
    for (int64_t first = b.begin; first < b.end; first += blocks_.beside) {
      int64_t end = least(first + blocks_.beside, b.end);
      Meeting near = widens ? with_widened(meeting, first, end) : meeting;
      for (int64_t i = a.begin; i < a.end; ++i) {
        int64_t rows = least(kTileRows, block.rows - i * kTileRows), wide = panels_for(rows);
        for (int64_t j = first; j < end; j += wide) {
          while (wide > end - j) wide /= 2;
          ahead.fetch(lines * wide);
          multiply_tile(block, near, i, j, rows, wide);
        }
      }
    }
  }

  /// The meeting with panels [first, end) of b as f32, in this thread's workspace.
  Meeting with_widened(const Meeting& meeting, int64_t first, int64_t end) const {
    Meeting widened = meeting;
    widened.b = reinterpret_cast<const uint32_t*>(own_beside());
    widened.b_stride = 2 * kTileColumns * meeting.steps;
    widened.b_steps = 0, widened.b_first = first, widened.kind = Steps::f32;
    for (int64_t j = first; j < end; ++j) {
      const float* from = reinterpret_cast<const float*>(b_panel_of(meeting, j));
      float* to = own_beside() + (j - first) * widened.b_stride;
      for (int64_t s = 0; s < meeting.steps; ++s, from += kTileColumns, to += 2 * kTileColumns)
        for (int half = 0; half < 2; ++half)
          for (int v = 0; v < kTileColumns; v += kLanes)
            store(to + half * kTileColumns + v, load_element(from + v, half));
    }
    return widened;
  }

  const uint32_t* b_panel_of(const Meeting& meeting, int64_t panel) const {
    return meeting.b + (panel - meeting.b_first) * meeting.b_stride + meeting.b_steps * kTileColumns;
  }

  void multiply_tile(const Block& block, const Meeting& meeting, int64_t a_panel, int64_t b_panel, int64_t rows,
                     int64_t wide) {
    int64_t column = b_panel * kTileColumns, columns = least(wide * kTileColumns, block.columns - column);
    TileEnds ends = ends_of(block, meeting, a_panel * kTileRows, column);
    multiply_tile(meeting, a_panel, b_panel, rows, columns, wide, ends);
    if (activate_ && meeting.step + meeting.steps == blocks_.total_steps)
      activate_(ends.out, ends.out_stride, rows, columns);
  }

  void multiply_tile(const Meeting& meeting, int64_t a_panel, int64_t b_panel, int64_t rows, int64_t columns,
                     int64_t wide, const TileEnds& ends) {
    const uint32_t* a =
        meeting.a + (a_panel - meeting.a_first) * meeting.a_stride + meeting.a_steps * rows * elements_of(steps_);
    const uint32_t* b = b_panel_of(meeting, b_panel);
    Tile tile_of_rows = tile_for(meeting.kind, rows, wide);
    int64_t steps = meeting.steps * (meeting.kind == steps_ ? 1 : 2);
    auto multiply = [&](const TileEnds& to) {
      tile_of_rows(steps, reinterpret_cast<const float*>(a), reinterpret_cast<const float*>(b), meeting.b_stride, to);
    };
    if (columns == wide * kTileColumns) return multiply(ends);

    alignas(64) float buffer[kTileRows * kTileColumns];
    int64_t stride = wide * kTileColumns;
    if (ends.add) copy(rows, columns, ends.sums, ends.stride, buffer, stride);
    multiply({.sums = buffer, .stride = stride, .add = ends.add, .finish = false});
    if (!ends.finish) return copy(rows, columns, buffer, stride, ends.sums, ends.stride);
    for (int64_t r = 0; r < rows; ++r) finish_one_by_one(ends, r, columns, buffer + r * stride);
  }

  TileEnds ends_of(const Block& block, const Meeting& meeting, int64_t row, int64_t column) const {
    bool f32 = product_.out_dtype == DType::f32, last = meeting.step + meeting.steps == blocks_.total_steps;
    int64_t at = (block.row + row) * columns_ + block.column + column, size = f32 ? 4 : 2;
    return {.sums = f32 ? reinterpret_cast<float*>(product_.out) + at : sums_ + row * blocks_.columns + column,
            .stride = f32 ? columns_ : blocks_.columns,
            .add = product_.add || meeting.step > 0,
            .finish = last && (!f32 || product_.bias || product_.residual),
            .narrow = !f32,
            .bias = product_.bias ? product_.bias + block.column + column : nullptr,
            .residual = product_.residual ? product_.residual + at * size : nullptr,
            .out = product_.out + at * size,
            .out_stride = columns_};
  }

  static void copy(int64_t rows, int64_t columns, const float* from, int64_t from_stride, float* to,
                   int64_t to_stride) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < columns; ++j) to[r * to_stride + j] = from[r * from_stride + j];
  }

  /// A row of a tile that has fewer columns than a panel.
  static void finish_one_by_one(const TileEnds& ends, int64_t row, int64_t columns, const float* sums) {
    int64_t at = row * ends.out_stride;
    for (int64_t j = 0; j < columns; ++j) {
      float value = sums[j];
      if (ends.bias) value += ends.bias[j];
      if (ends.narrow) {
        if (ends.residual) value += widened(reinterpret_cast<const uint16_t*>(ends.residual)[at + j]);
        reinterpret_cast<uint16_t*>(ends.out)[at + j] = narrowed(value);
      } else {
        if (ends.residual) value += reinterpret_cast<const float*>(ends.residual)[at + j];
        reinterpret_cast<float*>(ends.out)[at + j] = value;
      }
    }
  }
};

void multiply_blocked(const MatrixProduct& product) {
  BlockedProduct run(product);
#pragma omp parallel num_threads(product.threads) if (product.a.outer * product.b.outer * product.a.depth > kFewFlops)
  run.run();
}

void pack_panels(const Matrix& matrix, std::byte* to) {
  int64_t steps = steps_of(matrix.depth, matrix.dtype), panels = parts_of(matrix.outer, kTileColumns);
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < panels; ++p) {
    int64_t first = p * kTileColumns;
    pack(
        matrix, {first, least(kTileColumns, matrix.outer - first), 0, steps},
        {.to = reinterpret_cast<uint32_t*>(to) + first * steps, .width = kTileColumns, .stride = 0, .filled_up = true});
  }
}

const bool provided = provide_products<multiply_blocked>(kIsa) && provide_packing<pack_panels>(kIsa);

}  // namespace
}  // namespace lathe::LATHE_ISA
