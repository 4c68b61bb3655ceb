// The reference: one block of the weight at a time, taken apart, times the same block of some rows of x.
#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "lathe/ops/parallel.h"
#include "lathe/quant/block_product.h"
#include "lathe/quant/rounded_rows.h"

namespace lathe {
namespace {

constexpr int64_t kRowsAtOnce = 16;

template <class T, class Code>
void round_block(const T* x, float most_code, Code* codes, float& scale) {
  uint32_t largest = 0;  // as integers, so that what is no number is larger than all numbers
  for (int64_t i = 0; i < kRounded; ++i) largest = std::max(largest, std::bit_cast<uint32_t>(std::abs(float(x[i]))));
  float most = std::bit_cast<float>(largest), inverse = most > kLeastScaled ? most_code / most : 0;
  scale = most / most_code;
  for (int64_t i = 0; i < kRounded; ++i) {
    float code = std::nearbyint(float(x[i]) * inverse);
    codes[i] = std::isfinite(code) ? Code(code) : Code(0);
  }
}

void round_rows(const Tensor& x, const RoundedRows& to) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t blocks = x.elements() / kRounded;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < blocks; ++b) {
      const T* from = x.data<T>() + b * kRounded;
      int8_t* codes = to.codes + b * kRounded;
      round_block(from, kMostCode, codes, to.scales[b]);
      to.sums[2 * b] = std::accumulate(codes, codes + kSummed, 0);
      to.sums[2 * b + 1] = std::accumulate(codes + kSummed, codes + kRounded, 0);
      if (to.wide) round_block(from, kMostWide, to.wide + b * kRounded, to.wide_scales[b]);
    }
  });
}

int32_t dot(const BlockFormat& format, const uint8_t* codes, const int8_t* x, int64_t count) {
  int32_t sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += format.value(codes[i]) * x[i];
  return sum;
}

/// sums[r] += one block of a row of w, element `at` on, times the same elements of row first + r of x.
void add_block(const BlockFormat& format, const BlockParts& parts, const RoundedRows& x, int64_t in, int64_t at,
               int64_t first, int64_t rows, float* sums) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < format.elements; i += format.group) {
      int64_t g = i / format.group, begin = (first + r) * in + at + i;
      float scale = x.scales[begin / kRounded];
      const int32_t* ends = x.sums + begin / kSummed;
      int32_t codes_sum = format.group == kSummed ? ends[0] : ends[0] + ends[1];
      sums[r] += float(dot(format, parts.codes + i, x.codes + begin, format.group)) *
                 (parts.scale * float(parts.scales[g]) * scale);
      sums[r] -= parts.low * float(parts.lows[g]) * (scale * float(codes_sum));
    }
}

/// The same of a block that is numbers.
void add_numbers(const float* numbers, const RoundedRows& x, int64_t in, int64_t at, int64_t first, int64_t rows,
                 float* sums) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t begin = (first + r) * in + at;
    float sum = 0;
    for (int64_t i = 0; i < kRounded; ++i) sum += numbers[i] * float(x.wide[begin + i]);
    sums[r] += sum * x.wide_scales[begin / kRounded];
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
      if (format.numbers) {
        float numbers[kRounded];
        format.numbers(blocks + b * format.bytes, numbers);
        add_numbers(numbers, x, in, b * kRounded, first, rows, sums);
        continue;
      }
      BlockParts parts;
      format.split(blocks + b * format.bytes, parts);
      add_block(format, parts, x, in, b * format.elements, first, rows, sums);
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
  RoundedRows x(workspace.data<std::byte>(), product.x.shape().rows(), product.x.shape().columns(),
                needs_wide(product.parts));
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
