// The reference: one block of the weight at a time, taken apart, times the same block of some rows of x.
#include <algorithm>
#include <bit>
#include <cmath>

#include "lathe/ops/parallel.h"
#include "lathe/quant/block_product.h"
#include "lathe/quant/rounded_rows.h"

namespace lathe {
namespace {

constexpr int64_t kRowsAtOnce = 16;

template <class T>
void round_block(const T* x, int8_t* codes, float& scale, int32_t* sums) {
  uint32_t largest = 0;  // as integers, so that what is no number is larger than all numbers
  for (int64_t i = 0; i < kRounded; ++i) largest = std::max(largest, std::bit_cast<uint32_t>(std::abs(float(x[i]))));
  float most = std::bit_cast<float>(largest), inverse = most > kLeastScaled ? 127 / most : 0;
  scale = most / 127;
  sums[0] = sums[1] = 0;
  for (int64_t i = 0; i < kRounded; ++i) {
    float code = std::nearbyint(float(x[i]) * inverse);
    codes[i] = std::isfinite(code) ? int8_t(code) : int8_t(0);
    sums[i / kSummed] += codes[i];
  }
}

void round_rows(const Tensor& x, const RoundedRows& to) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t blocks = x.elements() / kRounded;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < blocks; ++b)
      round_block(x.data<T>() + b * kRounded, to.codes + b * kRounded, to.scales[b], to.sums + b * 2);
  });
}

int32_t dot(const BlockFormat& format, const uint8_t* codes, const int8_t* x, int64_t count) {
  int32_t sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += format.value(codes[i]) * x[i];
  return sum;
}

/// sums[r] += one block of a row of w times the same elements of row first + r of x.
void add_block(const BlockFormat& format, const BlockParts& parts, const RoundedRows& x, int64_t at, int64_t first,
               int64_t rows, float* sums) {
  for (int64_t r = 0; r < rows; ++r) {
    const int8_t* codes = x.codes_of(first + r);
    for (int64_t i = 0; i < format.elements; i += format.group) {
      int64_t g = i / format.group;
      float scale = x.scales_of(first + r)[(at + i) / kRounded];
      const int32_t* ends = x.sums_of(first + r) + (at + i) / kSummed;
      int32_t codes_sum = format.group == kSummed ? ends[0] : ends[0] + ends[1];
      sums[r] += float(dot(format, parts.codes + i, codes + at + i, format.group)) *
                 (parts.scale * float(parts.scales[g]) * scale);
      sums[r] -= parts.low * float(parts.lows[g]) * (scale * float(codes_sum));
    }
  }
}

/// Column `column` of out, which is row `row` of `part`.
void multiply_row(const BlockProduct& product, const BlockMatrix& part, const RoundedRows& x, int64_t row,
                  int64_t column, const Tensor& out) {
  const BlockFormat& format = *part.format;
  int64_t in = part.shape[1], columns = out.shape().columns(), count = in / format.elements;
  const std::byte* blocks = part.blocks.data<std::byte>() + row * count * format.bytes;
  for (int64_t first = 0; first < out.shape().rows(); first += kRowsAtOnce) {
    int64_t rows = std::min(kRowsAtOnce, out.shape().rows() - first);
    float sums[kRowsAtOnce] = {};
    for (int64_t b = 0; b < count; ++b) {
      BlockParts parts;
      format.split(blocks + b * format.bytes, parts);
      add_block(format, parts, x, b * format.elements, first, rows, sums);
    }
    visit_floating(out.dtype(), [&]<class T>(Element<T>) {
      for (int64_t r = 0; r < rows; ++r) {
        int64_t at = (first + r) * columns + column;
        float value = sums[r];
        if (product.bias) value += product.bias.data<float>()[column];
        if (product.residual) value += float(product.residual.data<T>()[at]);
        out.data<T>()[at] = T(value);
      }
    });
  }
}

}  // namespace

void multiply_blocks_plain(const BlockProduct& product, Tensor& workspace, Tensor& out) {
  RoundedRows x(workspace.data<std::byte>(), product.x.shape().rows(), product.x.shape().columns());
  round_rows(product.x, x);
  int64_t before = 0;
  for (const BlockMatrix& part : product.parts) {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < part.shape[0]; ++row) multiply_row(product, part, x, row, before + row, out);
    before += part.shape[0];
  }
}

namespace {

const bool provided = block_product_kernel.provide(Isa::plain, multiply_blocks_plain);

}  // namespace
}  // namespace lathe
