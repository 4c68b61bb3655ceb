#include <omp.h>

#include "lathe/quant/block_panels.h"
#include "lathe/quant/block_product.h"
#include "lathe/quant/block_vectors.h"
#include "lathe/quant/block_workspace.h"
#include "lathe/quant/rounded_rows.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/// 32 elements as multiples of the largest / most_code; the sums of both halves.
template <class T, class Code>
void round_block(const T* x, float most_code, Code* codes, float& scale, int32_t (&sums)[2]) {
  float values[kRounded];
  uint32_t largest = 0;  // as integers, so that what is no number is larger than all numbers
  for (int64_t i = 0; i < kRounded; ++i) {
    values[i] = wide(x[i]);
    uint32_t size = bits_of(values[i]) & 0x7fffffffu;
    largest = largest > size ? largest : size;
  }
  float most = float_of(largest), inverse = most > kLeastScaled ? most_code / most : 0;
  scale = most / most_code;
  int32_t integers[kRounded];
  for (int64_t i = 0; i < kRounded; i += kLanes)
    store_codes(integers + i, rounded(times(load_sums(values + i), all_sums(inverse))));
  sums[0] = sums[1] = 0;
  for (int64_t i = 0; i < kSummed; ++i) {
    codes[i] = Code(integers[i]), codes[kSummed + i] = Code(integers[kSummed + i]);
    sums[0] += codes[i], sums[1] += codes[kSummed + i];
  }
}

/// One run over a product; run() is called by all threads.
template <class T>
class Run {
 public:
  Run(const BlockProduct& product, const Tensor& workspace, const Tensor& out)
      : product_(product),
        rows_(out.shape().rows()),
        columns_(out.shape().columns()),
        in_(product.x.shape().columns()),
        x_(workspace.data<std::byte>(), rows_, in_, needs_wide(product.parts)),
        own_(workspace.data<std::byte>() + RoundedRows::bytes(rows_, in_, needs_wide(product.parts))),
        own_bytes_(BlockWorkspace::bytes(rows_)),
        from_(product.x.data<T>()),
        to_(out.data<T>()),
        bias_(product.bias ? product.bias.data<float>() : nullptr),
        residual_(product.residual ? product.residual.data<T>() : nullptr) {}

  void run() const {
    int64_t blocks = rows_ * in_ / kRounded;
#pragma omp for schedule(static)
    for (int64_t b = 0; b < blocks; ++b) round(b);
    if (rows_ <= BlockPanels::kFewRows)
      run_few();
    else
      run_many();
  }

 private:
  const BlockProduct& product_;
  int64_t rows_, columns_, in_;
  RoundedRows x_;
  std::byte* own_;
  int64_t own_bytes_;
  const T* from_;
  T* to_;
  const float* bias_;
  const T* residual_;

  void round(int64_t block) const {
    int32_t sums[2];
    const T* from = from_ + block * kRounded;
    if (x_.wide) round_block(from, kMostWide, x_.wide + block * kRounded, x_.wide_scales[block], sums);
    round_block(from, kMostCode, x_.codes + block * kRounded, x_.scales[block], sums);
    x_.sums[2 * block] = sums[0], x_.sums[2 * block + 1] = sums[1];
  }

  /// Rows of x from `row` on, from element `at` on.
  RoundedPart part_of(int64_t row, int64_t at) const {
    int64_t first = row * in_ + at;
    return {x_.codes + first,
            x_.scales + first / kRounded,
            x_.sums + first / kSummed,
            x_.wide ? x_.wide + first : nullptr,
            x_.wide ? x_.wide_scales + first / kRounded : nullptr,
            in_};
  }

  /// Calls use(panels, bytes of the panel, its rows, its first column of out) for this thread's share.
  template <class Use>
  void each_panel(Use use) const {
    int64_t threads = omp_get_num_threads(), me = omp_get_thread_num(), total = 0, before = 0, column = 0;
    for (const BlockMatrix& part : product_.parts) total += panels_of(part);
    int64_t begin = total * me / threads, end = total * (me + 1) / threads;
    for (const BlockMatrix& part : product_.parts) {
      const BlockPanels& panels = *find_block_panels(kVectorIsa, *part.format);
      int64_t count = panels_of(part), bytes = in_ / part.format->elements * panels.chunk_bytes;
      for (int64_t p = begin > before ? begin - before : 0; p < count && before + p < end; ++p)
        use(panels, *part.format, part.blocks.template data<std::byte>() + p * bytes,
            least(kPanelRows, part.shape[0] - p * kPanelRows), column + p * kPanelRows);
      before += count;
      column += part.shape[0];
    }
  }
  static int64_t panels_of(const BlockMatrix& part) { return (part.shape[0] + kPanelRows - 1) / kPanelRows; }

  void run_few() const {
    each_panel([&](const BlockPanels& panels, const BlockFormat& format, const std::byte* panel, int64_t count,
                   int64_t column) {
      alignas(64) float sums[BlockPanels::kFewRows * kPanelRows];
      if (rows_ > 0) panels.few[rows_ - 1](panel, in_ / format.elements, part_of(0, 0), sums);
      finish(sums, 0, rows_, column, count);
    });
  }

  void run_many() const {
    std::byte* own = own_ + omp_get_thread_num() * own_bytes_;
    each_panel([&](const BlockPanels& panels, const BlockFormat& format, const std::byte* panel, int64_t count,
                   int64_t column) {
      for (int64_t first = 0; first < rows_; first += kRowsAtOnce)
        multiply(panels, format, panel, {own}, first, least(kRowsAtOnce, rows_ - first), count, column);
    });
  }

  void multiply(const BlockPanels& panels, const BlockFormat& format, const std::byte* panel, const BlockWorkspace& own,
                int64_t first, int64_t rows, int64_t count, int64_t column) const {
    for (int64_t i = 0; i < rows * kPanelRows; ++i) own.sums[i] = 0;
    for (int64_t at = 0; at < in_; at += kUnpacked) {
      int64_t elements = least(kUnpacked, in_ - at);
      panels.unpack(panel + at / format.elements * panels.chunk_bytes, elements / format.elements, own.panel);
      panels.many(own.panel, elements, part_of(first, at), rows, own.sums);
    }
    finish(own.sums, first, rows, column, count);
  }

  void finish(const float* sums, int64_t first, int64_t rows, int64_t column, int64_t count) const {
    for (int64_t r = 0; r < rows; ++r, sums += kPanelRows) {
      int64_t at = (first + r) * columns_ + column;
      for (int64_t c = 0; c < count; ++c) {
        float value = sums[c];
        if (bias_) value += bias_[column + c];
        if (residual_) value += wide(residual_[at + c]);
        narrow(value, to_[at + c]);
      }
    }
  }
};

template <class T>
void multiply_as(const BlockProduct& product, Tensor& workspace, Tensor& out) {
  Run<T> run(product, workspace, out);
#pragma omp parallel
  run.run();
}

void multiply_simd(const BlockProduct& product, Tensor& workspace, Tensor& out) {
  for (const BlockMatrix& part : product.parts)
    if (!part.packed) return multiply_blocks_plain(product, workspace, out);
  if (out.dtype() == DType::f32) return multiply_as<float>(product, workspace, out);
  multiply_as<BF16>(product, workspace, out);
}

const bool provided = block_product_kernel.provide(kVectorIsa, multiply_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
