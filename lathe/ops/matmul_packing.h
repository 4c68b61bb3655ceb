#pragma once

// Packing of operands into panels; for *.simd.cpp alone.

#include "lathe/ops/lane_transpose.h"
#include "lathe/ops/matmul_matrix.h"
#include "lathe/ops/matmul_tile.h"

namespace lathe::LATHE_ISA {

/// Part of an operand: `outer` rows of it from `first`, `steps` of depth from `first_step`.
struct Part {
  int64_t first, outer, first_step, steps;
};

/// Where panels of `width` rows go: [steps, width] each, `stride` elements apart. The last panel of a b is filled up
/// with zeros; that of an a is as narrow as the rows that are left.
struct Panels {
  uint32_t* to;
  int64_t width, stride;
  int64_t step = 0;        ///< of the panels, where the part begins
  bool filled_up = false;  ///< a b, not an a
  bool widened = false;    ///< pairs as two f32: [2 steps, width]

  int64_t width_of(int64_t rows_left) const { return filled_up || rows_left > width ? width : rows_left; }
  uint32_t* at(int64_t row, int64_t panel_width) const {
    return to + row / width * stride + step * panel_width * (widened ? 2 : 1);
  }
};

inline const char* row_of(const Matrix& matrix, int64_t row) {
  return reinterpret_cast<const char*>(matrix.data) + row * matrix.stride * (matrix.dtype == DType::bf16 ? 2 : 4);
}

/// The bytes of a part where they lie, to be fetched into L2 a few at a time before they are packed.
class Ahead {
 public:
  Ahead() = default;
  Ahead(const Matrix& matrix, const Part& part) : stride_(matrix.stride * (matrix.dtype == DType::bf16 ? 2 : 4)) {
    int64_t width = matrix.dtype == DType::bf16 ? 2 : 1, first = part.first_step * width;
    int64_t depth = part.steps * width < matrix.depth - first ? part.steps * width : matrix.depth - first;
    row_ = row_of(matrix, matrix.across ? first : part.first) + (matrix.across ? part.first : first) * (4 / width);
    rows_ = matrix.across ? depth : part.outer;
    bytes_ = (matrix.across ? part.outer : depth) * (4 / width);
  }
  int64_t lines() const { return rows_ * ((bytes_ + 63) / 64 + 1); }
  void fetch(int64_t lines) {
    for (; lines > 0 && rows_ > 0; --lines) {
      __builtin_prefetch(row_ + at_, 0, 2);
      at_ += 64;
      if (at_ < bytes_ + 64) continue;
      at_ = 0, row_ += stride_, --rows_;
    }
  }

 private:
  const char* row_ = nullptr;
  int64_t rows_ = 0, bytes_ = 0, stride_ = 0, at_ = 0;
};

/// The step of one outer index as four bytes; what lies past the depth is 0.
inline uint32_t step_bits(const Matrix& matrix, int64_t outer, int64_t s) {
  uint32_t bits = 0;
  int64_t width = matrix.dtype == DType::bf16 ? 2 : 1, size = 4 / width;
  for (int64_t k = s * width, shift = 0; k < (s + 1) * width && k < matrix.depth; ++k, shift += 16) {
    uint32_t element = 0;
    const char* from = matrix.across ? row_of(matrix, k) + outer * size : row_of(matrix, outer) + k * size;
    __builtin_memcpy(&element, from, size_t(size));
    bits |= element << shift;
  }
  return bits;
}

/// to [steps, width] = the part's steps, 0 beyond part.outer; one element at a time.
inline void pack_simply(const Matrix& matrix, const Part& part, int64_t width, uint32_t* to) {
  for (int64_t s = 0; s < part.steps; ++s)
    for (int64_t i = 0; i < width; ++i)
      to[s * width + i] = i < part.outer ? step_bits(matrix, part.first + i, part.first_step + s) : 0;
}

/// to [2 steps, part.outer] f32 = both halves of each pair, for instruction sets that multiply no pairs.
inline void pack_widened(const Matrix& matrix, const Part& part, uint32_t* to) {
  for (int64_t s = 0; s < part.steps; ++s)
    for (int64_t i = 0; i < part.outer; ++i) {
      uint32_t bits = step_bits(matrix, part.first + i, part.first_step + s);
      to[2 * s * part.outer + i] = bits << 16;
      to[(2 * s + 1) * part.outer + i] = bits & 0xffff0000u;
    }
}

#ifdef LATHE_ISA_avx512

inline __mmask16 first_lanes(int64_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : __mmask16((1u << count) - 1);
}

/// Writes a step of a panel; widened, its halves as f32 one after the other.
template <Steps kind>
inline void store_step(uint32_t* to, int64_t width, __mmask16 lanes, __m512i step) {
  if constexpr (kind != Steps::widened) return _mm512_mask_storeu_epi32(to, lanes, step);
  _mm512_mask_storeu_epi32(to, lanes, _mm512_slli_epi32(step, 16));
  _mm512_mask_storeu_epi32(to + width, lanes, _mm512_and_si512(step, _mm512_set1_epi32(int32_t(0xffff0000))));
}

/// One panel of an operand whose depth is contiguous: blocks of 16 x 16 steps, transposed in registers.
template <Steps kind>
void pack_along(const Matrix& matrix, const Part& part, int64_t width, uint32_t* to) {
  constexpr bool pairs = kind != Steps::f32;
  for (int64_t i = 0; i < width; i += 16) {
    int64_t outer = part.outer - i;
    __mmask16 lanes = first_lanes(width - i);
    for (int64_t s = 0; s < part.steps; s += 16) {
      int64_t halves = pairs ? matrix.depth - 2 * (part.first_step + s) : 2 * (part.steps - s);
      if (pairs && halves > 2 * (part.steps - s)) halves = 2 * (part.steps - s);
      __mmask32 valid = halves >= 32 ? ~0u : (1u << halves) - 1;
      Lanes rows[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r)
        rows[r] =
            r < outer
                ? Lanes(_mm512_maskz_loadu_epi16(valid, row_of(matrix, part.first + i + r) + (part.first_step + s) * 4))
                : Lanes{};
      transpose(rows);
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r)
        if (s + r < part.steps)
          store_step<kind>(to + (s + r) * width * elements_of(kind) + i, width, lanes, __m512i(rows[r]));
    }
  }
}

/// 16 steps side by side: f32 of one row of memory, or bf16 of two, interleaved.
template <Steps kind>
inline __m512i load_across(const char* row, const char* next, __mmask16 valid, __mmask16 next_valid) {
  if constexpr (kind == Steps::f32) return _mm512_maskz_loadu_epi32(valid, row);
  __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(valid, row));
  __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(next_valid, next));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/// One step of all panels, of an operand whose rows lie side by side in memory: `width` is a panel's.
template <Steps kind, int width>
void pack_step(const char* row, const char* next, bool next_there, int64_t outer, uint32_t* to, int64_t stride) {
  constexpr int64_t kSize = kind == Steps::f32 ? 4 : 2;
  constexpr __mmask16 kLast = width % 16 ? (1 << width % 16) - 1 : 0xffff;
  for (; outer >= width; outer -= width, row += width * kSize, next += width * kSize, to += stride)
#pragma GCC unroll 2
    for (int v = 0; v < width; v += 16) {
      __mmask16 lanes = v + 16 < width ? __mmask16(0xffff) : kLast;
      store_step<kind>(to + v, width, lanes,
                       load_across<kind>(row + v * kSize, next + v * kSize, lanes, next_there ? lanes : __mmask16(0)));
    }
}

constexpr int64_t kRowsAhead = 8;  // of memory, that are asked for early: they lie too far apart to be foreseen

/// Panels of an operand whose rows lie side by side in memory: one step of each at a time, as memory has them.
template <Steps kind, int width>
void pack_across(const Matrix& matrix, const Part& part, const Panels& panels) {
  constexpr bool pairs = kind != Steps::f32;
  constexpr int64_t kDepth = pairs ? 2 : 1, kSize = pairs ? 2 : 4, kTo = elements_of(kind);
  int64_t whole = part.outer / width, left = part.outer % width, stride = matrix.stride * kSize;
  int64_t last_width = panels.width_of(left);
  uint32_t* last = panels.at(whole * width, last_width);
  for (int64_t s = 0; s < part.steps; ++s) {
    int64_t k = (part.first_step + s) * kDepth;
    const char *row = row_of(matrix, k) + part.first * kSize, *next = row + (pairs ? stride : 0);
    bool there = k + 1 < matrix.depth;
    for (int64_t at = 0; at < part.outer * kSize; at += 64)
      for (int64_t d = 0; d < kDepth; ++d) __builtin_prefetch(row + (kRowsAhead * kDepth + d) * stride + at);
    pack_step<kind, width>(row, next, there, whole * width, panels.at(0, width) + s * width * kTo, panels.stride);
    for (int64_t v = 0; left > 0 && v < last_width; v += 16) {
      __mmask16 valid = first_lanes(left - v), next_valid = there ? valid : __mmask16(0);
      int64_t at = (whole * width + v) * kSize;
      store_step<kind>(last + s * last_width * kTo + v, last_width, first_lanes(last_width - v),
                       load_across<kind>(row + at, next + at, valid, next_valid));
    }
  }
}

template <Steps kind>
void pack_as(const Matrix& matrix, const Part& part, const Panels& panels) {
  if (matrix.across)
    return panels.width == kTileRows ? pack_across<kind, kTileRows>(matrix, part, panels)
                                     : pack_across<kind, kTileColumns>(matrix, part, panels);
  for (int64_t i = 0; i < part.outer; i += panels.width) {
    int64_t left = part.outer - i, width = panels.width_of(left), rows = left < width ? left : width;
    pack_along<kind>(matrix, {part.first + i, rows, part.first_step, part.steps}, width, panels.at(i, width));
  }
}

/// Fills panels with a part.
inline void pack(const Matrix& matrix, const Part& part, const Panels& panels) {
  if (matrix.dtype == DType::f32) return pack_as<Steps::f32>(matrix, part, panels);
  panels.widened ? pack_as<Steps::widened>(matrix, part, panels) : pack_as<Steps::pairs>(matrix, part, panels);
}

#else

inline void pack(const Matrix& matrix, const Part& part, const Panels& panels) {
  for (int64_t i = 0; i < part.outer; i += panels.width) {
    int64_t left = part.outer - i, width = panels.width_of(left), rows = left < width ? left : width;
    Part panel{part.first + i, rows, part.first_step, part.steps};
    if (panels.widened)
      pack_widened(matrix, panel, panels.at(i, width));
    else
      pack_simply(matrix, panel, width, panels.at(i, width));
  }
}

#endif

}  // namespace lathe::LATHE_ISA
