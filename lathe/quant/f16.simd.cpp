// Products of f16 weights in 16-bit integers, which multiply at twice the rate of f32 and keep far more of x than bf16
// does: 32 numbers of a row become multiples of a power of two, at most 16383 of it, and x multiples of its largest /
// 4095, so that 32 products cannot overflow 32 bits. Numbers of a row within 1/8 of the largest stay as they are;
// others are off by 2^-15 of the largest at most.
#include "lathe/ops/lane_transpose.h"
#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

constexpr int kPairs = 16;  ///< of elements in a block
constexpr int64_t kScaleBytes = 32, kChunkBytes = kScaleBytes + kPairs * kStepBytes;

/// sum += the products of 2 codes and 2 elements of x a lane.
inline Codes dot_pairs(Codes sum, Codes codes, Codes x) {
#ifdef LATHE_ISA_avx512
  return _mm512_dpwssd_epi32(sum, codes, x);
#else
  return _mm256_add_epi32(sum, _mm256_madd_epi16(codes, x));
#endif
}

inline Codes pair(const int16_t* from) {
  int32_t bytes;
  __builtin_memcpy(&bytes, from, 4);
  return all_lanes(bytes);
}

/// Powers of two by the exponent fields of f32.
inline Sums powers(const std::byte* exponents, int vector) {
#ifdef LATHE_ISA_avx512
  return sums_with_bits(_mm512_slli_epi32(widened_unsigned(exponents + vector * kLanes), 23));
#else
  return sums_with_bits(_mm256_slli_epi32(widened_unsigned(exponents + vector * kLanes), 23));
#endif
}

template <int rows>
void few(const std::byte* panel, int64_t chunks, const RoundedPart& x, float* out) {
  Sums sums[rows][kPanelVectors] = {};
  for (int64_t chunk = 0; chunk < chunks; ++chunk, panel += kChunkBytes) {
    for (int64_t at = 0; at < kChunkBytes; at += 64)
      _mm_prefetch(reinterpret_cast<const char*>(panel) + kAhead + at, _MM_HINT_T0);
    for (int v = 0; v < kPanelVectors; ++v) {
      Codes products[rows] = {};
#pragma GCC unroll 16
      for (int s = 0; s < kPairs; ++s) {
        Codes codes = load_codes(panel + kScaleBytes + s * kStepBytes + v * kCodeBytes);
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r)
          products[r] = dot_pairs(products[r], codes, pair(x.wide + r * x.in + chunk * 32 + 2 * s));
      }
      Sums scale = powers(panel, v);
      for (int r = 0; r < rows; ++r)
        sums[r][v] = plus_product(sums[r][v], as_sums(products[r]),
                                  times(scale, all_sums(x.wide_scales[r * (x.in / 32) + chunk])));
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < kPanelVectors; ++v) store_sums(out + r * 32 + v * kLanes, sums[r][v]);
}

void unpack(const std::byte* chunk, int64_t chunks, const UnpackedPanel& to) {
  for (int64_t c = 0; c < chunks; ++c, chunk += kChunkBytes) {
    __builtin_memcpy(to.codes + c * kPairs * kStepBytes, chunk + kScaleBytes, kPairs * kStepBytes);
    for (int v = 0; v < kPanelVectors; ++v) store_sums(to.scales + c * 32 + v * kLanes, powers(chunk, v));
  }
}

template <int rows>
void wide_tile(const UnpackedPanel& panel, int64_t elements, const RoundedPart& x, int first_vector, float* to) {
  Sums sums[rows][kTileVectors];
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < kTileVectors; ++v) sums[r][v] = load_sums(to + r * 32 + (first_vector + v) * kLanes);
  const uint8_t* codes = panel.codes + first_vector * kCodeBytes;
  for (int64_t at = 0; at < elements; at += 32) {
    Codes products[rows][kTileVectors] = {};
#pragma GCC unroll 16
    for (int s = 0; s < kPairs; ++s, codes += kStepBytes) {
      Codes w[kTileVectors];
      for (int v = 0; v < kTileVectors; ++v) w[v] = load_codes(codes + v * kCodeBytes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        Codes two = pair(x.wide + r * x.in + at + 2 * s);
        for (int v = 0; v < kTileVectors; ++v) products[r][v] = dot_pairs(products[r][v], w[v], two);
      }
    }
    for (int v = 0; v < kTileVectors; ++v) {
      Sums scale = load_sums(panel.scales + at + (first_vector + v) * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r)
        sums[r][v] = plus_product(sums[r][v], as_sums(products[r][v]),
                                  times(scale, all_sums(x.wide_scales[(r * x.in + at) / 32])));
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < kTileVectors; ++v) store_sums(to + r * 32 + (first_vector + v) * kLanes, sums[r][v]);
}

template <int rows>
void wide_tile_of(int64_t wanted, const UnpackedPanel& panel, int64_t elements, const RoundedPart& x, float* sums) {
  if constexpr (rows > 1)
    if (wanted < rows) return wide_tile_of<rows - 1>(wanted, panel, elements, x, sums);
  for (int v = 0; v < kPanelVectors; v += kTileVectors) wide_tile<rows>(panel, elements, x, v, sums);
}

void many(const UnpackedPanel& panel, int64_t elements, const RoundedPart& x, int64_t rows, float* sums) {
  for (int64_t r = 0; r < rows; r += kTileRows) {
    RoundedPart part = x;
    part.wide += r * x.in;
    part.wide_scales += r * (x.in / 32);
    wide_tile_of<kTileRows>(rows - r, panel, elements, part, sums + r * 32);
  }
}

/// How a block's numbers become integers: its power of two as the exponent field of an f32, and the factor to multiply
/// them by; 255 and 0 where one of them is not finite.
struct Shift {
  uint32_t field;
  float inverse;
};
Shift shift_of(uint32_t largest) {  // the bits of the largest magnitude; its leading bit goes to 2^13
  if (largest >= 0x7f800000u) return {255, 0};
  uint32_t field = largest >> 23;
  return field > 13 ? Shift{field - 13, float_of((254 - (field - 13)) << 23)} : Shift{0, 0};
}

#ifdef LATHE_ISA_avx512

/// Pairs of a row's integers.
Lanes pairs_of(const std::byte* block, std::byte* exponent) {
  Sums low = halves(block), high = halves(block + 32);
  Codes size = all_lanes(0x7fffffff);
  Codes sizes = _mm512_maskz_max_epu32(0xffff, both(__m512i(low), size), both(__m512i(high), size));
  Shift shift = shift_of(_mm512_reduce_max_epu32(sizes));
  *exponent = std::byte(shift.field);
  if (shift.field == 255) return Lanes(_mm512_set1_epi16(1));
  Sums inverse = all_sums(shift.inverse);
  __m256i first = _mm512_maskz_cvtepi32_epi16(0xffff, rounded(times(low, inverse)));
  __m256i second = _mm512_maskz_cvtepi32_epi16(0xffff, rounded(times(high, inverse)));
  return Lanes(_mm512_inserti64x4(_mm512_zextsi256_si512(first), second, 1));
}

void pack(const BlockFormat&, const std::byte* blocks, int64_t stride, int64_t rows, std::byte* chunk) {
  for (int64_t first = 0; first < kPanelRows; first += 16) {
    Lanes lanes[16];
    for (int64_t r = 0; r < 16; ++r) {
      bool there = first + r < rows;
      chunk[first + r] = std::byte(0);
      lanes[r] = there ? pairs_of(blocks + (first + r) * stride, chunk + first + r) : Lanes{};
    }
    transpose(lanes);
    for (int64_t s = 0; s < kPairs; ++s) store_codes(chunk + kScaleBytes + s * kStepBytes + first * 4, Codes(lanes[s]));
  }
}

#else

/// One row's block into its lane of a chunk.
void pack_row(const std::byte* block, std::byte* exponent, std::byte* codes) {
  float numbers[32];
  for (int i = 0; i < 32; i += kLanes) store_sums(numbers + i, halves(block + 2 * i));
  uint32_t largest = 0;
#pragma omp simd reduction(max : largest)
  for (int i = 0; i < 32; ++i) {
    uint32_t size = bits_of(numbers[i]) & 0x7fffffffu;
    largest = largest > size ? largest : size;
  }
  Shift shift = shift_of(largest);
  *exponent = std::byte(shift.field);
  uint32_t integers[32];
  for (int i = 0; i < 32; i += kLanes)
    store_codes(integers + i,
                shift.field == 255 ? all_lanes(1) : rounded(times(load_sums(numbers + i), all_sums(shift.inverse))));
  for (int i = 0; i < 32; i += 2) {
    uint32_t two = (integers[i] & 0xffffu) | integers[i + 1] << 16;
    __builtin_memcpy(codes + i / 2 * kStepBytes, &two, 4);
  }
}

void pack(const BlockFormat&, const std::byte* blocks, int64_t stride, int64_t rows, std::byte* chunk) {
  for (int64_t i = 0; i < kChunkBytes; ++i) chunk[i] = std::byte(0);
  for (int64_t r = 0; r < rows; ++r) pack_row(blocks + r * stride, chunk + r, chunk + kScaleBytes + r * 4);
}

#endif

const bool provided = provide_block_panels(kVectorIsa, "F16",
                                           {.chunk_bytes = kChunkBytes,
                                            .wide_codes = true,
                                            .pack = pack,
                                            .unpack = unpack,
                                            .few = {few<1>, few<2>, few<3>, few<4>},
                                            .many = many});

}  // namespace
}  // namespace lathe::LATHE_ISA
