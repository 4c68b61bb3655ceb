#pragma once
// Few rows of x as tensor cores multiply them with signed bytes: each 32 elements of a row, a group, are 16-bit
// integers 256 high + low times a f32 scale, which is finer than bf16 but for elements below 2^-8 of the largest.

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace lathe {

/// Of a group of a row. Formats with lows need sums of the rounded elements: the first and the last 16, all 32.
template <bool sums>
struct GroupScale {
  float scale;
};
template <>
struct GroupScale<true> {
  float scale, halves[2], sum;
};

/// Groups of x, one after the other, each of `slots` rows: b operands of mma.m16n8k32, then scales. There is one
/// operand for each four rows; column 2 i of it has the high bytes and column 2 i + 1 the low bytes of one row, so that
/// a lane that has the sums of one plane has those of the other. A tile of 8 rows is its rows 0, 2, 4, 6, then 1, 3, 5,
/// 7: lanes then have the sums that they have of an mma of 8 rows. Or there is one row alone.
template <int slots, bool sums>
struct SplitRows {
  using Scale = GroupScale<sums>;
  static constexpr int kOperandBytes = slots * 64;
  static constexpr int kBytes = (kOperandBytes + slots * int(sizeof(Scale)) + 7) / 8 * 8;

  __device__ static int slot(int row) { return slots == 1 ? 0 : row / 8 * 8 + row % 2 * 4 + row % 8 / 2; }
  /// Where the high bytes of elements 4 q to 4 q + 3 and 16 + 4 q to 16 + 4 q + 3 of a row are; the low bytes are 32
  /// bytes further.
  __device__ static uint2* part(std::byte* group, int row, int q) {
    return reinterpret_cast<uint2*>(group + slot(row) * 64) + q;
  }
  __device__ static Scale* scale(std::byte* group, int row) {
    return reinterpret_cast<Scale*>(group + kOperandBytes) + slot(row);
  }
  /// A lane's b operand of the four rows `four`, and the scale of the one whose sums it gets.
  __device__ static uint2 operand(const std::byte* group, int four, int lane) {
    return reinterpret_cast<const uint2*>(group)[slots == 1 ? lane % 8 : four * 32 + lane];
  }
  __device__ static const Scale& scale_of(const std::byte* group, int four, int lane) {
    return reinterpret_cast<const Scale*>(group + kOperandBytes)[slots == 1 ? 0 : four * 4 + lane % 4];
  }
};

constexpr uint32_t kLanes = 0xffffffff;

/// The bits of the largest magnitude of a group's bf16, which four lanes have; larger than any number's where one is
/// none.
__device__ inline uint32_t largest_bits(const uint2 (&x)[2]) {
  constexpr uint32_t magnitude = 0x7fff7fff;
  uint32_t pair =
      __vmaxu2(__vmaxu2(x[0].x & magnitude, x[0].y & magnitude), __vmaxu2(x[1].x & magnitude, x[1].y & magnitude));
  uint32_t most = max(pair & 0xffff, pair >> 16);
  most = max(most, __shfl_xor_sync(kLanes, most, 1));
  return max(most, __shfl_xor_sync(kLanes, most, 2));
}

/// Four rounded elements as bytes.
struct SplitFour {
  uint32_t high, low;
  /// 1.5 * 2^23 is added, so that the last bits are the integer, rounded to even; and 128, so that high is rounded and
  /// low is signed when 128 is taken off again.
  __device__ SplitFour(uint2 x, float inverse) {
    constexpr float shift = 12582912.0f + 128;
    auto integer = [&](uint32_t bits) { return __float_as_uint(fmaf(__uint_as_float(bits), inverse, shift)); };
    uint32_t first = __byte_perm(integer(x.x << 16), integer(x.x & 0xffff0000), 0x5140),
             second = __byte_perm(integer(x.y << 16), integer(x.y & 0xffff0000), 0x5140);
    high = __byte_perm(first, second, 0x7632);
    low = __byte_perm(first, second, 0x5410) ^ 0x80808080;
  }
  __device__ int sum() const { return 256 * __dp4a(int(high), 0x01010101, 0) + __dp4a(int(low), 0x01010101, 0); }
};

/// Rounds groups, by a warp: x are elements 4 q to 4 q + 3 and 16 + 4 q to 16 + 4 q + 3 of lane q of four; those with
/// `kept` write theirs. A group with an element that is not finite gets a scale that is not.
template <int slots, bool sums>
__device__ void split_group(const uint2 (&x)[2], std::byte* group, int row, int lane, bool kept) {
  constexpr uint32_t least = 0x0da2;                                                  // 1e-30: its inverse is finite
  float scale = __uint_as_float(max(largest_bits(x), least) << 16) * (1.0f / 32512);  // 127 * 256
  float inverse = __fdividef(1.0f, scale);
  SplitFour first(x[0], inverse), second(x[1], inverse);
  int halves[2] = {};
  if constexpr (sums)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      halves[half] = half == 0 ? first.sum() : second.sum();
      halves[half] += __shfl_xor_sync(kLanes, halves[half], 1);
      halves[half] += __shfl_xor_sync(kLanes, halves[half], 2);
    }
  if (!kept) return;
  uint2* part = SplitRows<slots, sums>::part(group, row, lane % 4);
  part[0] = {first.high, second.high};
  part[4] = {first.low, second.low};
  if (lane % 4) return;
  GroupScale<sums>* to = SplitRows<slots, sums>::scale(group, row);
  to->scale = scale;
  if constexpr (sums) {
    to->halves[0] = float(halves[0]) * scale;
    to->halves[1] = float(halves[1]) * scale;
    to->sum = float(halves[0] + halves[1]) * scale;
  }
}

}  // namespace lathe
