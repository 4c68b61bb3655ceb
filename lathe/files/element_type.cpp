#include "lathe/files/element_type.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "lathe/base/error.h"

namespace lathe {
namespace {

template <class T>
float value_of(const std::byte* element) {
  T value;
  std::memcpy(&value, element, sizeof(T));
  return float(value);
}

/// A float of 8 bits, whose exponent field 0 means a subnormal.
float small_float(uint8_t bits, int mantissa_bits, int bias) {
  int exponent = (bits & 0x7f) >> mantissa_bits, mantissa = bits & ((1 << mantissa_bits) - 1);
  float magnitude = exponent == 0 ? std::ldexp(float(mantissa), 1 - bias - mantissa_bits)
                                  : std::ldexp(float(mantissa + (1 << mantissa_bits)), exponent - bias - mantissa_bits);
  return bits & 0x80 ? -magnitude : magnitude;
}

/// Without infinities; all ones is no number (Micikevicius et al. 2022).
float e4m3(const std::byte* element) {
  auto bits = uint8_t(*element);
  return (bits & 0x7f) == 0x7f ? std::numeric_limits<float>::quiet_NaN() : small_float(bits, 3, 7);
}

/// Without infinities and -0, whose bits are no number (Noune et al. 2022).
float e4m3fnuz(const std::byte* element) {
  auto bits = uint8_t(*element);
  return bits == 0x80 ? std::numeric_limits<float>::quiet_NaN() : small_float(bits, 3, 8);
}
float e5m2fnuz(const std::byte* element) {
  auto bits = uint8_t(*element);
  return bits == 0x80 ? std::numeric_limits<float>::quiet_NaN() : small_float(bits, 2, 16);
}

/// Half precision without its last 8 bits.
float e5m2(const std::byte* element) {
  F16 half;
  half.bits = uint16_t(uint16_t(*element) << 8);
  return float(half);
}

constexpr ElementType kTypes[] = {{"F64", 8, {}, value_of<double>},
                                  {"F32", 4, DType::f32, value_of<float>},
                                  {"F16", 2, DType::f16, value_of<F16>},
                                  {"BF16", 2, DType::bf16, value_of<BF16>},
                                  {"F8_E4M3", 1, {}, e4m3},
                                  {"F8_E5M2", 1, {}, e5m2},
                                  {"F8_E4M3FNUZ", 1, {}, e4m3fnuz},
                                  {"F8_E5M2FNUZ", 1, {}, e5m2fnuz},
                                  {"I64", 8, DType::i64, nullptr},
                                  {"I32", 4, DType::i32, nullptr},
                                  {"I16", 2, {}, nullptr},
                                  {"I8", 1, DType::i8, nullptr},
                                  {"U64", 8, {}, nullptr},
                                  {"U32", 4, {}, nullptr},
                                  {"U16", 2, DType::u16, nullptr},
                                  {"U8", 1, DType::u8, nullptr},
                                  {"BOOL", 1, {}, nullptr},
                                  {"F8_E8M0", 1, {}, nullptr},
                                  {"F6_E2M3", 0, {}, nullptr, 6},
                                  {"F6_E3M2", 0, {}, nullptr, 6},
                                  {"F4", 0, {}, nullptr, 4},
                                  {"C64", 8, {}, nullptr}};

}  // namespace

std::optional<int64_t> ElementType::bytes_of(int64_t elements) const {
  int64_t all = 0;
  if (elements < 0 || __builtin_mul_overflow(elements, bits, &all) || all % 8 != 0) return std::nullopt;
  return all / 8;
}

const ElementType* find_element_type(std::string_view name) {
  for (const ElementType& type : kTypes)
    if (type.name == name) return &type;
  return nullptr;
}

const ElementType& element_type(DType dtype) {
  for (const ElementType& type : kTypes)
    if (type.dtype == dtype) return type;
  throw InternalError(text(name_of(dtype), " has no name in files"));
}

std::string element_type_names() {
  std::string all;
  for (const ElementType& type : kTypes) all += (all.empty() ? "" : ", ") + std::string(type.name);
  return all;
}

}  // namespace lathe
