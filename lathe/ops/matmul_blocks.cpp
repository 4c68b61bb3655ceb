#include "lathe/ops/matmul_blocks.h"

#include <unistd.h>

#include <algorithm>

namespace lathe {
namespace {

constexpr int64_t kSteps = 512;            // groups are then wide enough to be packed quickly when they lie across
constexpr int64_t kAllSteps = 1024;        // no more: rather all at once
constexpr int64_t kAllStepsNarrow = 2048;  // the same when out is narrower than sums, which would wait in workspace
constexpr int64_t kKeptBytes = 4 << 20;    // of L3, where every core may keep as much
constexpr int64_t kSumBytes = 32 << 20;
constexpr int64_t kLine = 64;
// Cores that share no L3 pass on lines which one of them writes and all read at 4 GB/s (two vCPUs of a Zen 4 server):
// so few threads are faster when each packs everything.
constexpr int kFewThreads = 2;
constexpr int64_t kMostPanels = 32;          // of a group: no more gain
constexpr int64_t kBesideBytes = 192 << 10;  // of panels of b that a group of a meets together, from its core's L2
constexpr int64_t kMostPanelsWide = 4;       // of a tile of few rows

/// Of L2, beside the panels that meet the group and the next group's rows: 256 KiB of 1 MiB (Zen 4), 640 of 2 MiB
/// (Emerald Rapids). The larger it is, the less often all that is kept comes through L2.
int64_t group_bytes() {
  static const int64_t bytes =
      std::clamp<int64_t>(3 * sysconf(_SC_LEVEL2_CACHE_SIZE) / 8 - (128 << 10), 256 << 10, 1 << 20);
  return bytes;
}

int64_t up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

/// Bytes from one packed panel to the next: an odd number of cache lines, so that panels which are filled side by side
/// do not meet in the same sets of a cache.
constexpr int64_t kPanelSlack = 191;
int64_t panel_of(int64_t bytes) { return up(bytes, 128) + 64; }

/// The even share of `n` when at most `most` may be taken at once, in whole units.
int64_t share(int64_t n, int64_t most, int64_t unit) {
  most = std::max(most / unit * unit, unit);
  int64_t parts = std::max<int64_t>((n + most - 1) / most, 1);
  return std::max(up((n + parts - 1) / parts, unit), unit);
}

int64_t steps_at_once(const ProductExtents& extents) {
  int64_t steps = steps_of(extents.depth, extents.dtype);
  bool all = steps <= (extents.out_dtype == DType::f32 ? kAllSteps : kAllStepsNarrow);
  return share(steps, all ? steps : kSteps, 1);
}

int64_t step_bytes(Isa isa, const ProductExtents& extents, bool of_a) {
  return 4 * (of_a ? a_width(isa, extents.dtype == DType::bf16) : 1);
}

int64_t total_of(const Blocks& blocks, int threads) {
  return blocks.kept_bytes * (threads <= kFewThreads ? threads : 1) + blocks.sum_bytes +
         threads * (blocks.group_bytes + blocks.beside_bytes + kLine);
}

/// Where no instruction multiplies pairs, panels of b that were packed as pairs become f32 once for all rows of a group
/// of a, not in each tile: an eighth of the time there.
bool widens_beside(Isa isa, const ProductExtents& extents) {
  return extents.b_packed && extents.dtype == DType::bf16 && a_width(isa, true) == 2 &&
         extents.rows > tile_of(isa).rows;
}

int64_t beside_panels(Isa isa, const ProductExtents& extents) {
  bool widens = widens_beside(isa, extents);
  int64_t panel = 4 * tile_of(isa).columns * ((widens ? 2 : 1) * steps_at_once(extents) + 1);
  return std::max<int64_t>(kBesideBytes / panel, widens ? 1 : kMostPanelsWide);
}

int64_t beside_bytes(Isa isa, const ProductExtents& extents) {
  if (!widens_beside(isa, extents)) return 0;
  return up(beside_panels(isa, extents) * 8 * tile_of(isa).columns * steps_at_once(extents), kLine);
}

}  // namespace

int a_width(Isa isa, bool pairs) { return pairs && !(isa == Isa::avx512 && multiplies_pairs()) ? 2 : 1; }

Blocks blocks_of(Isa isa, const ProductExtents& extents, int threads) {
  TileShape tile = tile_of(isa);
  Blocks blocks;
  bool a_passes = extents.rows >= extents.columns || (extents.b_packed && extents.rows > tile.rows);
  int64_t kept_unit = a_passes ? tile.columns : tile.rows, unit = a_passes ? tile.rows : tile.columns;
  int64_t kept_step = step_bytes(isa, extents, !a_passes), step = step_bytes(isa, extents, a_passes);
  int64_t outer = a_passes ? extents.columns : extents.rows, passing = a_passes ? extents.rows : extents.columns;
  blocks.a_passes = a_passes;
  blocks.kept_by_each = threads <= kFewThreads;
  blocks.total_steps = steps_of(extents.depth, extents.dtype);
  blocks.steps = steps_at_once(extents);
  blocks.span = std::max<int64_t>(blocks.total_steps, 1);
  int64_t kept = up(std::max<int64_t>(outer, 1), kept_unit);
  if (!(a_passes && extents.b_packed)) {
    kept = share(outer, kKeptBytes / (kept_step * blocks.steps), kept_unit);
    blocks.span = std::min(blocks.span, kKeptBytes / (kept_step * blocks.steps * kept) * blocks.steps);
    blocks.kept_panel = panel_of(kept_unit * blocks.span * kept_step);
    blocks.kept_bytes = kept / kept_unit * blocks.kept_panel;
  }
  bool sums = extents.out_dtype != DType::f32 && blocks.steps < blocks.total_steps;
  int64_t block = sums ? share(passing, kSumBytes / (4 * kept), unit) : up(std::max<int64_t>(passing, 1), unit);
  if (sums) blocks.sum_bytes = up(kept * block * 4, kLine);
  blocks.rows = a_passes ? block : kept;
  blocks.columns = a_passes ? kept : block;
  blocks.group_panel = panel_of(unit * blocks.steps * step);
  blocks.group = std::min(std::clamp<int64_t>(group_bytes() / blocks.group_panel, 1, kMostPanels), block / unit);
  if (a_passes || !extents.b_packed) blocks.group_bytes = blocks.group * blocks.group_panel;
  blocks.beside = beside_panels(isa, extents);
  blocks.beside_bytes = beside_bytes(isa, extents);
  blocks.bytes = total_of(blocks, threads);
  return blocks;
}

int64_t workspace_bytes(Isa isa, const ProductExtents& extents, int threads) {
  TileShape tile = tile_of(isa);
  int64_t slack = std::max(tile.rows, tile.columns), step = step_bytes(isa, extents, true);
  int64_t steps = steps_at_once(extents), total = std::max<int64_t>(steps_of(extents.depth, extents.dtype), 1);
  int64_t least = std::min(extents.rows, extents.columns), most = std::max(extents.rows, extents.columns);
  if (extents.b_packed) least = std::min(least, tile.rows);
  Blocks bound;
  int64_t panels = (least + slack) / std::min(tile.rows, tile.columns) + 1;
  bound.kept_bytes = up(std::min((least + slack) * total * step, kKeptBytes) + panels * kPanelSlack, kLine);
  int64_t group = std::max(group_bytes(), panel_of(slack * steps * step));
  bound.group_bytes = up(std::min((most + slack) * (steps * step + kPanelSlack), group), kLine);
  if (extents.out_dtype != DType::f32 && steps < total)
    bound.sum_bytes = up(std::min((extents.rows + slack) * (extents.columns + slack) * 4, kSumBytes), kLine);
  bound.beside_bytes = beside_bytes(isa, extents);
  return total_of(bound, threads);
}

int64_t packed_bytes(Isa isa, int64_t columns, int64_t depth, DType dtype) {
  if (isa == Isa::plain) return columns * depth * size_of(dtype);
  return up(columns, tile_of(isa).columns) * steps_of(depth, dtype) * 4;
}

}  // namespace lathe
