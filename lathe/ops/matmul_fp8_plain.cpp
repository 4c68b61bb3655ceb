#include <array>
#include <cmath>
#include <limits>

#include "lathe/ops/matmul_fp8.h"

namespace lathe {
namespace {

struct Bits {
  int mantissa, bias;
  uint8_t largest;  ///< code of the largest number
};
constexpr Bits bits_of(Fp8 format) { return format == Fp8::e4m3 ? Bits{3, 7, 0x7e} : Bits{2, 15, 0x7b}; }

/// Rounded to the nearest even; beyond the largest it is the largest.
uint8_t encoded(float value, Fp8 format) {
  Bits bits = bits_of(format);
  uint8_t sign = std::signbit(value) ? 0x80 : 0;
  float magnitude = std::abs(value);
  if (std::isnan(value)) return 0x7f;
  if (magnitude >= largest_of(format)) return uint8_t(sign | bits.largest);
  if (magnitude == 0) return sign;
  int exponent = std::max(std::ilogb(magnitude), 1 - bits.bias);
  auto steps = int(std::nearbyint(std::ldexp(magnitude, bits.mantissa - exponent)));
  return uint8_t(sign | (((exponent + bits.bias - 1) << bits.mantissa) + steps));
}

float decoded(uint8_t code, Fp8 format) {
  Bits bits = bits_of(format);
  int exponent = (code & 0x7f) >> bits.mantissa, fraction = code & ((1 << bits.mantissa) - 1);
  float magnitude = std::ldexp(float(exponent ? (1 << bits.mantissa) + fraction : fraction),
                               std::max(exponent, 1) - bits.bias - bits.mantissa);
  if ((code & 0x7f) > bits.largest) magnitude = std::numeric_limits<float>::quiet_NaN();
  return code & 0x80 ? -magnitude : magnitude;
}

void scale_plain(const Tensor& x, Fp8 format, Tensor& scale) {
  const BF16* values = x.data<BF16>();
  float most = 0;
  for (int64_t i = 0; i < x.elements(); ++i) {
    float magnitude = std::abs(float(values[i]));
    if (!(magnitude <= most) && !std::isnan(most)) most = magnitude;
  }
  scale.data<float>()[0] = most;
  scale.data<float>()[kFp8Factor] = most == 0 ? 1 : most / largest_of(format);
}

void quantize_plain(const Tensor& x, Fp8 format, const Tensor& scale, Tensor& along, Tensor& across) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  const BF16* values = x.data<BF16>();
  float most = scale.data<float>()[0], factor = most == 0 ? 1 : largest_of(format) / most;
#pragma omp parallel for schedule(static) if (x.elements() > 65536)
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      uint8_t code = encoded(float(values[row * columns + column]) * factor, format);
      if (along) along.data<uint8_t>()[row * columns + column] = code;
      if (across) across.data<uint8_t>()[column * rows + row] = code;
    }
}

using Values = std::array<float, 256>;

Values values_of(const Fp8Operand& operand) {
  Values values;
  for (size_t code = 0; code < values.size(); ++code) values[code] = decoded(uint8_t(code), operand.format);
  return values;
}

template <class Out>
void multiply_as(const Fp8Product& p, Tensor& out) {
  int64_t rows = p.a.codes.shape()[0], columns = p.b.codes.shape()[0], depth = p.a.codes.shape()[1];
  Values a_values = values_of(p.a), b_values = values_of(p.b);
  float scale = p.a.scale.data<float>()[kFp8Factor] * p.b.scale.data<float>()[kFp8Factor];
#pragma omp parallel for schedule(static) if (rows * columns * depth > 65536)
  for (int64_t at = 0; at < rows * columns; ++at) {
    const uint8_t* a = p.a.codes.data<uint8_t>() + at / columns * depth;
    const uint8_t* b = p.b.codes.data<uint8_t>() + at % columns * depth;
    float sum = 0;
    for (int64_t k = 0; k < depth; ++k) sum += a_values[a[k]] * b_values[b[k]];
    sum *= scale;
    if (p.add) sum += float(out.data<Out>()[at]);
    if (p.bias) sum += p.bias.data<float>()[at % columns];
    if (p.residual) sum += float(p.residual.data<Out>()[at]);
    out.data<Out>()[at] = Out(sum);
  }
}

void multiply_plain(const Fp8Product& product, Tensor&, Tensor& out) {
  visit_floating(out.dtype(), [&]<class Out>(Element<Out>) { multiply_as<Out>(product, out); });
}

const bool provided = fp8_scale_kernel.provide(Isa::plain, scale_plain) &&
                      fp8_quantize_kernel.provide(Isa::plain, quantize_plain) &&
                      fp8_product_kernel.provide(Isa::plain, multiply_plain);

}  // namespace
}  // namespace lathe
