#pragma once

// Products of panels with a few rows of x; for *.simd.cpp alone. Every one adds the same things in the same order.

#include "lathe/quant/block_codes.h"
#include "lathe/quant/block_scales.h"

namespace lathe::LATHE_ISA {

constexpr int64_t kAhead = 2048;  ///< bytes of a panel that are asked for early

/// The codes of x's row r, and what goes with them, at element `at`.
struct RowAt {
  const int8_t* codes;
  const float* scale;
  const int32_t* sums;
};
inline RowAt row_at(const RoundedPart& x, int64_t r, int64_t at) {
  return {x.codes + r * x.in + at, x.scales + (r * x.in + at) / 32, x.sums + (r * x.in + at) / 16};
}

/// The sum of a group's codes of x: 32 of them, or the `half`-th 16.
template <int group>
inline int32_t sum_of(const int32_t* sums, int half) {
  return group == 32 ? sums[0] + sums[1] : sums[half];
}

/// sum + (products of integer codes) * scales of both - lows * sum of x.
template <bool lows>
inline Sums scaled(Sums sum, Codes products, Sums scale, const float* low, float x_scale, int32_t x_sum) {
  sum = plus_product(sum, as_sums(products), times(scale, all_sums(x_scale)));
  if constexpr (lows) sum = minus_product(sum, load_sums(low), all_sums(x_scale * float(x_sum)));
  (void)low, (void)x_sum;
  return sum;
}

template <class C, class S>
struct PanelOf {
  static constexpr int kSubs = S::kElements / 32, kGroups = 32 / S::kGroup, kStepsOfGroup = kSteps / kGroups;
  static constexpr int64_t kChunkBytes = S::kBytes + kSubs * C::kBytes;

  template <int rows, int step, int last>
  static void add_steps(Codes (&products)[rows], const std::byte* planes, int vector, const RowAt (&x)[rows]) {
    Codes codes = C::template load<step>(planes, vector);
    for (int r = 0; r < rows; ++r) products[r] = dot<C::kSigned>(products[r], codes, four_bytes(x[r].codes + 4 * step));
    if constexpr (step + 1 < last) add_steps<rows, step + 1, last>(products, planes, vector, x);
  }

  template <int rows, int half>
  static void add_group(Sums (&sums)[rows][kPanelVectors], const std::byte* chunk, int sub, const RowAt (&x)[rows]) {
    const std::byte* planes = chunk + S::kBytes + sub * C::kBytes;
    for (int v = 0; v < kPanelVectors; ++v) {
      Codes products[rows];
      for (int r = 0; r < rows; ++r)
        products[r] = all_lanes(C::kOffset ? -C::kOffset * sum_of<S::kGroup>(x[r].sums, half) : 0);
      add_steps<rows, half * kStepsOfGroup, (half + 1) * kStepsOfGroup>(products, planes, v, x);
      Sums scale = S::scale(chunk, sub * kGroups + half, v);
      for (int r = 0; r < rows; ++r) {
        sums[r][v] = plus_product(sums[r][v], as_sums(products[r]), times(scale, all_sums(*x[r].scale)));
        if constexpr (S::kLows)
          sums[r][v] = minus_product(sums[r][v], S::low(chunk, sub * kGroups + half, v),
                                     all_sums(*x[r].scale * float(sum_of<S::kGroup>(x[r].sums, half))));
      }
    }
    if constexpr (half + 1 < kGroups) add_group<rows, half + 1>(sums, chunk, sub, x);
  }

  template <int rows>
  static void few(const std::byte* panel, int64_t chunks, const RoundedPart& x, float* out) {
    Sums sums[rows][kPanelVectors] = {};
    for (int64_t chunk = 0; chunk < chunks; ++chunk, panel += kChunkBytes) {
      for (int64_t at = 0; at < kChunkBytes; at += 64)
        _mm_prefetch(reinterpret_cast<const char*>(panel) + kAhead + at, _MM_HINT_T0);
      for (int sub = 0; sub < kSubs; ++sub) {
        RowAt at[rows];
        for (int r = 0; r < rows; ++r) at[r] = row_at(x, r, chunk * S::kElements + sub * 32);
        add_group<rows, 0>(sums, panel, sub, at);
      }
    }
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < kPanelVectors; ++v) store_sums(out + r * 32 + v * kLanes, sums[r][v]);
  }

  template <int step = 0>
  static void unpack_steps(const std::byte* planes, uint8_t* to) {
    for (int v = 0; v < kPanelVectors; ++v)
      store_codes(to + step * kStepBytes + v * kCodeBytes, C::template load<step>(planes, v));
    if constexpr (step + 1 < kSteps) unpack_steps<step + 1>(planes, to);
  }

  static void unpack(const std::byte* chunk, int64_t chunks, const UnpackedPanel& to) {
    uint8_t* codes = to.codes;
    float *scales = to.scales, *lows = to.lows;
    for (int64_t c = 0; c < chunks; ++c, chunk += kChunkBytes) {
      for (int sub = 0; sub < kSubs; ++sub, codes += kSteps * kStepBytes)
        unpack_steps(chunk + S::kBytes + sub * C::kBytes, codes);
      for (int g = 0; g < kSubs * kGroups; ++g, scales += 32, lows += 32)
        for (int v = 0; v < kPanelVectors; ++v) {
          store_sums(scales + v * kLanes, S::scale(chunk, g, v));
          if constexpr (S::kLows) store_sums(lows + v * kLanes, S::low(chunk, g, v));
        }
    }
  }

  static void pack(const BlockFormat& format, const std::byte* blocks, int64_t stride, int64_t count,
                   std::byte* chunk) {
    BlockParts rows[32] = {};
    for (int64_t r = 0; r < count; ++r) format.split(blocks + r * stride, rows[r]);
    S::store(rows, chunk);
    for (int sub = 0; sub < kSubs; ++sub) {
      alignas(64) uint8_t steps[kSteps * kStepBytes];
      for (int s = 0; s < kSteps; ++s)
        for (int r = 0; r < 32; ++r)
          __builtin_memcpy(steps + s * kStepBytes + r * 4, rows[r].codes + sub * 32 + s * 4, 4);
      C::store(steps, chunk + S::kBytes + sub * C::kBytes);
    }
  }
};

/// Rows of x that a tile takes, and vectors of a panel: what the registers hold.
constexpr int kTileRows = kLanes == 16 ? 6 : 2, kTileVectors = 2;

/// sums [rows, 32] += x times `elements` of an unpacked panel.
template <int rows, int group, bool lows, bool signed_codes, int offset>
void tile(const UnpackedPanel& panel, int64_t elements, const RoundedPart& x, int first_vector, float* to) {
  Sums sums[rows][kTileVectors];
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < kTileVectors; ++v) sums[r][v] = load_sums(to + r * 32 + (first_vector + v) * kLanes);
  const uint8_t* codes = panel.codes + first_vector * kCodeBytes;
  for (int64_t at = 0; at < elements; at += group) {
    Codes products[rows][kTileVectors];
    const int8_t* x_codes[rows];
    int half = int(at / 16 % 2);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      RowAt row = row_at(x, r, at - half * 16);
      x_codes[r] = row.codes + half * 16;
      for (int v = 0; v < kTileVectors; ++v)
        products[r][v] = all_lanes(offset ? -offset * sum_of<group>(row.sums, half) : 0);
    }
#pragma GCC unroll 8
    for (int s = 0; s < group / 4; ++s, codes += kStepBytes) {
      Codes w[kTileVectors];
      for (int v = 0; v < kTileVectors; ++v) w[v] = load_codes(codes + v * kCodeBytes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        Codes four = four_bytes(x_codes[r] + 4 * s);
        for (int v = 0; v < kTileVectors; ++v) products[r][v] = dot<signed_codes>(products[r][v], w[v], four);
      }
    }
    const int64_t g = at / group * 32 + first_vector * kLanes;
    for (int v = 0; v < kTileVectors; ++v) {
      Sums scale = load_sums(panel.scales + g + v * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        RowAt row = row_at(x, r, at - half * 16);
        sums[r][v] = scaled<lows>(sums[r][v], products[r][v], scale, panel.lows + g + v * kLanes, *row.scale,
                                  lows ? sum_of<group>(row.sums, half) : 0);
      }
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < kTileVectors; ++v) store_sums(to + r * 32 + (first_vector + v) * kLanes, sums[r][v]);
}

template <int rows, int group, bool lows, bool signed_codes, int offset>
void tile_of(int64_t wanted, const UnpackedPanel& panel, int64_t elements, const RoundedPart& x, float* sums) {
  if constexpr (rows > 1)
    if (wanted < rows) return tile_of<rows - 1, group, lows, signed_codes, offset>(wanted, panel, elements, x, sums);
  for (int v = 0; v < kPanelVectors; v += kTileVectors)
    tile<rows, group, lows, signed_codes, offset>(panel, elements, x, v, sums);
}

template <int group, bool lows, bool signed_codes, int offset>
void many(const UnpackedPanel& panel, int64_t elements, const RoundedPart& x, int64_t rows, float* sums) {
  for (int64_t r = 0; r < rows; r += kTileRows)
    tile_of<kTileRows, group, lows, signed_codes, offset>(
        rows - r, panel, elements,
        {x.codes + r * x.in, x.scales + r * (x.in / 32), x.sums + r * (x.in / 16), nullptr, nullptr, x.in},
        sums + r * 32);
}

/// `pack`: where there is a faster one than taking blocks apart.
template <class C, class S>
bool provide_panels(const char* format, PackChunk pack = PanelOf<C, S>::pack) {
  using Panel = PanelOf<C, S>;
  return provide_block_panels(
      kVectorIsa, format,
      {.chunk_bytes = Panel::kChunkBytes,
       .offset = C::kOffset,
       .signed_codes = C::kSigned,
       .lows = S::kLows,
       .pack = pack,
       .unpack = Panel::unpack,
       .few = {Panel::template few<1>, Panel::template few<2>, Panel::template few<3>, Panel::template few<4>},
       .many = many<S::kGroup, S::kLows, C::kSigned, C::kOffset>});
}

}  // namespace lathe::LATHE_ISA
