#pragma once
// A weight in records (block_records.h) as products with few rows read it (matmul_ring.cuh): its codes are multiplied
// as signed bytes with x of split_rows.cuh, exactly for each record, and scaled then.

#include "lathe/ops/matmul_ring.cuh"
#include "lathe/quant/block_records.h"
#include "lathe/quant/split_rows.cuh"

namespace lathe {

/// sums [16, 8] = a [16, 32] b [32, 8] of signed bytes, by a warp; halves of depth are as those of [16, 16] of bf16
/// (PTX ISA, mma.m16n8k32).
__device__ inline void multiply_bytes(int (&sums)[4], const uint32_t (&a)[2][2], uint2 b) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%10, %10, %10, %10};"
      : "=r"(sums[0]), "=r"(sums[1]), "=r"(sums[2]), "=r"(sums[3])
      : "r"(a[0][0]), "r"(a[0][1]), "r"(a[1][0]), "r"(a[1][1]), "r"(b.x), "r"(b.y), "r"(0));
}
/// The same of [16, 16] and [16, 8].
__device__ inline void multiply_bytes(int (&sums)[4], const uint32_t (&a)[2], uint32_t b) {
  asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %7, %7, %7};"
      : "=r"(sums[0]), "=r"(sums[1]), "=r"(sums[2]), "=r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(b), "r"(0));
}

/// Bytes of a table of 16 by the low four nibbles of `codes`.
__device__ inline uint32_t look_up(const uint4& table, uint32_t codes) {
  uint32_t low = __byte_perm(table.x, table.y, codes & 0x7777), high = __byte_perm(table.z, table.w, codes & 0x7777);
  uint32_t from_high = (codes & 0x8888) >> 1;  // 4 picks from `high`, 0 from `low`
  return __byte_perm(low, high, 0x3210 | from_high);
}

/// What codes are: signed bytes, or nibbles that stand for themselves, for 8 less, or for bytes of a table.
enum class CodeKind { bytes, plain_nibbles, shifted_nibbles, table };

/// How records of some formats are.
template <CodeKind kind, int groups_, bool lows_>
struct RecordLayout {
  static constexpr int groups = groups_;
  static constexpr bool lows = lows_;
  static constexpr int kCodeBytes = BlockRecords::kRows * BlockRecords::kDepth / (kind == CodeKind::bytes ? 1 : 2);
  static constexpr int kScaleBytes = BlockRecords::kRows * groups * 2;
  static constexpr int kBytes = kCodeBytes + kScaleBytes * (lows ? 2 : 1);
  /// Shifted nibbles are read as 16 times what they stand for.
  static constexpr float kUnit = kind == CodeKind::shifted_nibbles ? 1.0f / 16 : 1;

  /// A lane's codes of a record as signed bytes: [halves of depth][rows r and r + 8].
  __device__ static void read_codes(const std::byte* record, int lane, const uint4& table, uint32_t (&codes)[2][2]) {
    if constexpr (kind == CodeKind::bytes) {
      uint4 all = reinterpret_cast<const uint4*>(record)[lane];
      codes[0][0] = all.x, codes[0][1] = all.y, codes[1][0] = all.z, codes[1][1] = all.w;
    } else {
      uint2 all = reinterpret_cast<const uint2*>(record)[lane];
      read_nibbles(all.x, table, codes[0][0], codes[1][0]);
      read_nibbles(all.y, table, codes[0][1], codes[1][1]);
    }
  }
  __device__ static void read_nibbles(uint32_t all, const uint4& table, uint32_t& low, uint32_t& high) {
    if constexpr (kind == CodeKind::table) {
      uint32_t first = look_up(table, all), second = look_up(table, all >> 16);
      low = __byte_perm(first, second, 0x6420), high = __byte_perm(first, second, 0x7531);
    } else if constexpr (kind == CodeKind::shifted_nibbles) {
      low = (all << 4 & 0xf0f0f0f0) ^ 0x80808080, high = (all & 0xf0f0f0f0) ^ 0x80808080;
    } else {
      low = all & 0x0f0f0f0f, high = all >> 4 & 0x0f0f0f0f;
    }
  }
  /// Of rows r and r + 8 of the lane: [groups].
  __device__ static void read_scales(const std::byte* record, int lane, float2 (&scales)[groups]) {
    auto* pairs = reinterpret_cast<const __half2*>(record + kCodeBytes) + lane / 4 * groups;
#pragma unroll
    for (int g = 0; g < groups; ++g) scales[g] = __half22float2(pairs[g]);
  }
  __device__ static void read_lows(const std::byte* record, int lane, float2 (&of_groups)[groups]) {
    read_scales(record + kScaleBytes, lane, of_groups);
  }
};

/// What a lane has of a record.
template <class Layout>
struct RecordPart {
  uint32_t codes[2][2];
  float2 scales[Layout::groups], lows[Layout::groups];

  __device__ RecordPart(const std::byte* record, int lane, const uint4& table) {
    Layout::read_codes(record, lane, table, codes);
    Layout::read_scales(record, lane, scales);
    if constexpr (Layout::lows) Layout::read_lows(record, lane, lows);
  }

  /// Elements 4 q to 4 q + 3, or those 16 further, of row r or r + 8.
  __device__ void read(int half, int below, float (&values)[4]) const {
    int g = Layout::groups == 2 ? half : 0;
    auto of_row = [&](float2 pair) { return below ? pair.y : pair.x; };
    uint32_t bytes = below ? codes[half][1] : codes[half][0];
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      values[n] = of_row(scales[g]) * (float(int8_t(bytes >> 8 * n)) * Layout::kUnit);
      if constexpr (Layout::lows) values[n] -= of_row(lows[g]);
    }
  }

  /// Adds the products with one row of x to sums of rows r and r + 8. |256 high + low| is at most 257 * 32 * 128 * 128,
  /// below 2^28.
  __device__ void add_products(uint2 operand, const GroupScale<Layout::lows>& x, float& sum, float& sum_below) const {
#pragma unroll
    for (int g = 0; g < Layout::groups; ++g) {
      int planes[4];
      if constexpr (Layout::groups == 1)
        multiply_bytes(planes, codes, operand);
      else
        multiply_bytes(planes, codes[g], g == 0 ? operand.x : operand.y);
      float scale = x.scale * Layout::kUnit;
      sum = fmaf(scales[g].x * scale, float(256 * planes[0] + planes[1]), sum);
      sum_below = fmaf(scales[g].y * scale, float(256 * planes[2] + planes[3]), sum_below);
      if constexpr (Layout::lows) {
        float of_x = Layout::groups == 1 ? x.sum : x.halves[g];
        sum = fmaf(-lows[g].x, of_x, sum);
        sum_below = fmaf(-lows[g].y, of_x, sum_below);
      }
    }
  }
};

/// The records of a weight, and how a ring copies them. Warp w has records w, w + 8 and so on of a piece.
template <class Layout_>
struct RecordSource {
  using Layout = Layout_;
  static constexpr int kRecordBytes = Layout::kBytes;
  static constexpr int kTileBytes = kRingWarps * kPieceSteps * kRecordBytes;
  static_assert(BlockRecords::kRows == kWeightRows && BlockRecords::kDepth == kDepthStep && kRecordBytes % 16 == 0);
  const std::byte* records;
  uint4 table;
  bool is_constant;

  __device__ static int tile_bytes(const NarrowProduct& p, int k) {
    return min(kPieceDepth, p.depth - k) / kDepthStep * kRecordBytes;
  }
  template <class S>
  __device__ static int tiles(const NarrowProduct& p, int first) {
    return min(S::weight_tiles, (p.columns - first + kWeightRows - 1) / kWeightRows);
  }
  template <class S>
  __device__ int bytes(const NarrowProduct& p, int first, int k) const {
    return tiles<S>(p, first) * tile_bytes(p, k);
  }
  template <class S>
  __device__ void copy(const NarrowProduct& p, int first, int k, std::byte* to, uint64_t* full, uint64_t policy,
                       int lane) const {
    if (lane >= tiles<S>(p, first)) return;
    int64_t at = int64_t(first / kWeightRows + lane) * (p.depth / kDepthStep) + k / kDepthStep;
    copy_bulk(records + at * kRecordBytes, to + lane * kTileBytes, tile_bytes(p, k), full, policy);
  }
};

/// For a few rows: each warp of a block splits what it multiplies, once, into shared memory.
template <class Layout, int slots>
struct SplittingSource : RecordSource<Layout> {
  static constexpr bool kOwnsMemory = true;
  using Base = RecordSource<Layout>;
  using Split = SplitRows<slots, Layout::lows>;

  static __host__ __device__ int groups_of_warp(int depth) {
    return (depth / kDepthStep + kRingWarps - 1) / kRingWarps;
  }
  static int own_bytes(const NarrowProduct& p) { return kRingWarps * groups_of_warp(p.depth) * Split::kBytes; }

  template <class S>
  struct Lane {
    static_assert(S::rows == kNarrowRows && S::weight_tiles == 1);
    static constexpr int kAtOnce = 4, kFours = slots == 1 ? 1 : 2;
    static constexpr int kTogether = slots == 1 ? 1 : 2;  ///< whose instructions are mixed
    int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
    std::byte* own;  ///< the warp's groups

    /// Four lanes for each group of each row, of which there are as many as the next power of two.
    __device__ void begin(const NarrowProduct& p, const SplittingSource&, std::byte* memory) {
      int groups = groups_of_warp(p.depth), shift = slots == 1 ? 0 : 32 - __clz(p.rows - 1);
      own = memory + warp * groups * Split::kBytes;
      for (int first = 0; first < groups << shift; first += 8 * kAtOnce) {
        uint2 x[kAtOnce][2];
#pragma unroll
        for (int n = 0; n < kAtOnce; ++n) read(p, Item(first + 8 * n + lane / 4, shift, warp), x[n]);
#pragma unroll
        for (int n = 0; n < kAtOnce; n += kTogether)
          if (first + 8 * n < groups << shift)
#pragma unroll
            for (int m = n; m < n + kTogether; ++m) {
              Item item(first + 8 * m + lane / 4, shift, warp);
              split_group<slots, Layout::lows>(x[m], own + item.group * Split::kBytes, item.row, lane, item.in(p));
            }
      }
      __syncwarp();
    }
    struct Item {
      int group, row, depth;
      __device__ Item(int i, int shift, int warp)
          : group(i >> shift), row(i & ((1 << shift) - 1)), depth((group * kRingWarps + warp) * kDepthStep) {}
      __device__ bool in(const NarrowProduct& p) const { return depth < p.depth && row < p.rows; }
    };
    __device__ void read(const NarrowProduct& p, const Item& item, uint2 (&x)[2]) const {
      x[0] = x[1] = {0, 0};
      if (!item.in(p)) return;
      const __nv_bfloat16* from = p.x + int64_t(item.row) * p.depth + item.depth + lane % 4 * 4;
      x[0] = *reinterpret_cast<const uint2*>(from);
      x[1] = *reinterpret_cast<const uint2*>(from + 16);
    }

    __device__ void multiply(const NarrowProduct& p, const SplittingSource& source, const std::byte* stage, int piece,
                             int, RingSums<S>& sums) const {
      const std::byte* record = stage + warp * Base::kRecordBytes;
      const std::byte* group = own + piece / kDepthStep / kRingWarps * Split::kBytes;
      if (piece + kPieceDepth <= p.depth) {
#pragma unroll
        for (int s = 0; s < kPieceSteps; ++s)
          multiply_record(record + s * kRingWarps * Base::kRecordBytes, source.table, group + s * Split::kBytes,
                          sums[0][0]);
        return;
      }
#pragma unroll 1
      for (int k = piece + warp * kDepthStep; k < p.depth; k += kRingWarps * kDepthStep) {
        multiply_record(record, source.table, group, sums[0][0]);
        record += kRingWarps * Base::kRecordBytes, group += Split::kBytes;
      }
    }
    __device__ void multiply_record(const std::byte* record, const uint4& table, const std::byte* group,
                                    float (&sums)[4]) const {
      RecordPart<Layout> part(record, lane, table);
#pragma unroll
      for (int four = 0; four < kFours; ++four)
        part.add_products(Split::operand(group, four, lane), Split::scale_of(group, four, lane), sums[four],
                          sums[2 + four]);
    }
  };
};

/// For more rows: lanes read what an earlier kernel split.
template <class Layout>
struct SplitSource : RecordSource<Layout> {
  static constexpr bool kOwnsMemory = true;
  using Base = RecordSource<Layout>;
  const std::byte* x;

  template <class S>
  struct Lane {
    using Split = SplitRows<S::rows, Layout::lows>;
    static constexpr int kFours = 2 * S::row_tiles;
    static constexpr int kAhead = kFours <= 2 ? kPieceSteps : 2;  ///< steps that x is read ahead: as registers allow
    int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32 % kRingWarps;
    int fours = int(threadIdx.x) / 32 / kRingWarps * kFours;  ///< of other warps, before its own
    uint2 operands[kAhead][kFours];
    GroupScale<Layout::lows> scales[kAhead][kFours];

    __device__ void begin(const NarrowProduct& p, const SplitSource& source, std::byte*) {
#pragma unroll
      for (int s = 0; s < kAhead; ++s) read(p, source, s, 0);
    }
    __device__ bool has(const NarrowProduct& p, int s, int piece) const {
      return piece + (s * kRingWarps + warp) * kDepthStep < p.depth;
    }
    __device__ void read(const NarrowProduct& p, const SplitSource& source, int s, int piece) {
      if (!has(p, s, piece)) return;
      const std::byte* group = source.x + int64_t(piece / kDepthStep + s * kRingWarps + warp) * Split::kBytes;
#pragma unroll
      for (int four = 0; four < kFours; ++four) {
        operands[s % kAhead][four] = Split::operand(group, fours + four, lane);
        const auto& from = Split::scale_of(group, fours + four, lane);
        auto& to = scales[s % kAhead][four];
        to.scale = from.scale;
        if constexpr (Layout::lows && Layout::groups == 1) to.sum = from.sum;
        if constexpr (Layout::lows && Layout::groups == 2) to.halves[0] = from.halves[0], to.halves[1] = from.halves[1];
      }
    }
    __device__ void multiply(const NarrowProduct& p, const SplitSource& source, const std::byte* stage, int piece,
                             int next, RingSums<S>& sums) {
#pragma unroll
      for (int s = 0; s < kPieceSteps; ++s) {
        if (has(p, s, piece))
#pragma unroll
          for (int i = 0; i < S::weight_tiles; ++i) {
            const std::byte* record = stage + i * Base::kTileBytes + (s * kRingWarps + warp) * Base::kRecordBytes;
            RecordPart<Layout> part(record, lane, source.table);
#pragma unroll
            for (int four = 0; four < kFours; ++four)
              part.add_products(operands[s % kAhead][four], scales[s % kAhead][four], sums[i][four / 2][four % 2],
                                sums[i][four / 2][2 + four % 2]);
          }
        int later = s + kAhead;
        later < kPieceSteps ? read(p, source, later, piece) : read(p, source, later - kPieceSteps, next);
      }
    }
  };
};

}  // namespace lathe
