#include "lathe/tensor/dtype.h"

#include "lathe/base/error.h"

namespace lathe {

int64_t size_of(DType dtype) {
  constexpr int64_t sizes[] = {4, 2, 2, 1, 1, 4, 8, 2};
  return sizes[size_t(dtype)];
}

const char* name_of(DType dtype) {
  constexpr const char* names[] = {"f32", "bf16", "f16", "i8", "u8", "i32", "i64", "u16"};
  return names[size_t(dtype)];
}

bool is_floating(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16; }

void not_floating(DType dtype) { throw InternalError(text(name_of(dtype), " where a floating type is needed")); }

F16::F16(float value) {
  uint32_t all = std::bit_cast<uint32_t>(value);
  uint16_t sign = uint16_t((all >> 16) & 0x8000u);
  uint32_t magnitude = all & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    bits = uint16_t(sign | 0x7e00u);
  } else if (magnitude >= 0x477ff000u) {  // 65520 and above round to infinity
    bits = uint16_t(sign | 0x7c00u);
  } else if (magnitude < 0x38800000u) {  // below 2^-14: subnormal; adding 0.5 puts the 10 bits in place, rounded
    float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    bits = uint16_t(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  } else {
    uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    bits = uint16_t(sign | ((rounded - 0x38000000u) >> 13));
  }
}

F16::operator float() const {
  uint32_t sign = uint32_t(bits & 0x8000u) << 16, exponent = (bits >> 10) & 0x1fu, mantissa = bits & 0x3ffu;
  if (exponent == 0) {
    float magnitude = float(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  uint32_t high = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | (high << 23) | (mantissa << 13));
}

}  // namespace lathe
