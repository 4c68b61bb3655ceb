#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace lathe {

enum class DType : uint8_t { f32, bf16, f16, i8, u8, i32, i64, u16 };

int64_t size_of(DType dtype);      ///< bytes of one element
const char* name_of(DType dtype);  ///< "f32", "bf16", ...
bool is_floating(DType dtype);     ///< f32, bf16, f16

/// The upper half of a float; rounds to nearest even.
struct BF16 {
  uint16_t bits = 0;
  BF16() = default;
  explicit BF16(float value) {
    uint32_t all = std::bit_cast<uint32_t>(value);
    bool nan = (all & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? uint16_t((all >> 16) | 64u) : uint16_t((all + 0x7fffu + ((all >> 16) & 1u)) >> 16);
  }
  operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};

/// IEEE half precision; rounds to nearest even, overflows to infinity.
struct F16 {
  uint16_t bits = 0;
  F16() = default;
  explicit F16(float value);
  operator float() const;
};

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, BF16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, F16>)
    return DType::f16;
  else if constexpr (std::is_same_v<T, int8_t>)
    return DType::i8;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return DType::u8;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::i32;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::i64;
  else {
    static_assert(std::is_same_v<T, uint16_t>, "not an element type");
    return DType::u16;
  }
}

/// Names an element type for `visit_floating`.
template <class T>
struct Element {
  using type = T;
};

[[noreturn]] void not_floating(DType dtype);

/// Calls `visitor(Element<T>{})` with the C++ type of a floating dtype; inside kernels only.
template <class Visitor>
decltype(auto) visit_floating(DType dtype, Visitor&& visitor) {
  if (dtype == DType::f32) return visitor(Element<float>{});
  if (dtype == DType::bf16) return visitor(Element<BF16>{});
  if (dtype == DType::f16) return visitor(Element<F16>{});
  not_floating(dtype);
}

}  // namespace lathe
