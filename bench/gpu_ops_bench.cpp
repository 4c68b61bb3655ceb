// Kernels that memory bounds, on cuda:0, at the sizes of GPT-2 124M (32,768 tokens of 768) and LLaMA 1.1B (16,384 of
// 2048): bytes, microseconds, GB/s, and the share of a plain copy measured in the same run.
//   build/cuda/bench/gpu_ops_bench [--filter TEXT]
// Each call uses other tensors than the one before, more than the card's cache holds. Bytes are those that the ops
// count: each tensor once, however often a kernel reads it.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

#include "lathe/base/error.h"
#include "lathe/ops/activation.h"
#include "lathe/ops/column_sums.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/embedding.h"
#include "lathe/ops/layer_norm.h"
#include "lathe/ops/rms_norm.h"
#include "lathe/ops/rotary.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

constexpr int kSets = 4, kCalls = 40, kRepeats = 5;
constexpr DType kType = DType::bf16;

using Call = std::function<void(size_t set)>;

double seconds_of(const Call& call) {
  Accelerator& gpu = *Runtime::current().accelerator;
  gpu.synchronize();
  auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < kCalls; ++i) call(i % kSets);
  gpu.synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / kCalls;
}

struct Measured {
  double bytes, seconds;
  double rate() const { return bytes / seconds; }
};

/// The median of several rounds, after one that is not counted.
Measured measure(const Call& call) {
  const WorkTotals& totals = Runtime::current().totals;
  int64_t before = totals.bytes_moved;
  seconds_of(call);
  double bytes = double(totals.bytes_moved - before) / kCalls;
  std::vector<double> seconds;
  for (int i = 0; i < kRepeats; ++i) seconds.push_back(seconds_of(call));
  std::nth_element(seconds.begin(), seconds.begin() + kRepeats / 2, seconds.end());
  return {bytes, seconds[kRepeats / 2]};
}

class Table {
 public:
  explicit Table(std::string filter) : filter_(std::move(filter)) {
    Tensor from = zeros({1 << 28}), to = zeros({1 << 28});
    copy_ = measure([&](size_t) { copy(from, to); }).rate();
    std::cout << "copy of 1 GiB: " << std::fixed << std::setprecision(0) << copy_ / 1e9 << " GB/s\n";
  }
  void row(const std::string& name, const Call& call) const {
    if (name.find(filter_) == std::string::npos) return;
    Measured measured = measure(call);
    std::cout << std::left << std::setw(44) << name << std::right << std::setprecision(1) << std::setw(9)
              << measured.bytes / 1e6 << " MB" << std::setw(9) << measured.seconds * 1e6 << " us"
              << std::setprecision(0) << std::setw(7) << measured.rate() / 1e9 << " GB/s" << std::setw(5)
              << 100 * measured.rate() / copy_ << " %\n"
              << std::flush;
  }

 private:
  std::string filter_;
  double copy_;
};

/// Normal numbers; blocks of rows repeat.
Tensor normals(Shape shape, DType dtype = kType) {
  constexpr int64_t kBlock = 1 << 16;
  static const std::vector<float> values = [] {
    Random random(1);
    std::vector<float> drawn(kBlock);
    for (size_t i = 0; i < drawn.size(); ++i) drawn[i] = random.normal(i);
    return drawn;
  }();
  Tensor block = Tensor::empty({kBlock}), all = Tensor::empty({shape.elements()}, dtype);
  upload(std::span<const float>(values), block);
  for (int64_t first = 0; first < all.elements(); first += kBlock) {
    int64_t count = std::min(kBlock, all.elements() - first);
    Tensor part = all.rows(first, count);
    copy(block.rows(0, count), part);
  }
  return all.alias(shape);
}

std::vector<Tensor> sets(Shape shape, DType dtype = kType) {
  std::vector<Tensor> tensors;
  for (int i = 0; i < kSets; ++i) tensors.push_back(normals(shape, dtype));
  return tensors;
}

Tensor ids_of(const std::vector<int32_t>& values) {
  Tensor ids = Tensor::empty({int64_t(values.size())}, DType::i32);
  upload(std::span<const int32_t>(values), ids);
  return ids;
}

/// As in text: the k-th most frequent id has a share of 1 / k, and frequent ids lie anywhere.
Tensor text_ids(int64_t count, int64_t vocabulary) {
  Random random(2);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) {
    double share = double(random.bits(uint64_t(i))) / double(uint64_t{1} << 32);
    int64_t rank = int64_t(std::pow(double(vocabulary), share));
    ids.push_back(int32_t(rank * 7919 % vocabulary));
  }
  return ids_of(ids);
}

Tensor positions(int64_t count, int64_t length) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(int32_t(i % length));
  return ids_of(ids);
}

struct Size {
  int64_t rows, columns, inner, vocabulary;
  std::string of(const char* name) const { return text(name, " [", rows, ", ", columns, "]"); }
  std::string inner_of(const char* name, int64_t width) const { return text(name, " [", rows, ", ", width, "]"); }
};

void elementwise(const Table& table, const Size& size) {
  auto a = sets({size.rows, size.columns}), b = sets({size.rows, size.columns}), out = b;
  Tensor bias = normals({size.columns}, DType::f32);
  Work one{0, 2 * a[0].bytes()}, two{0, 3 * a[0].bytes()};
  table.row(size.of("copy"), [&](size_t i) { copy(a[i], out[i]); });
  table.row(size.of("sum"), [&](size_t i) { sum_kernel(two, a[i], b[(i + 1) % kSets], out[i]); });
  table.row(size.of("scale"), [&](size_t i) { scale_kernel(one, a[i], 0.5f, out[i]); });
  table.row(size.of("multiply"), [&](size_t i) { multiply_kernel(two, a[i], b[(i + 1) % kSets], out[i]); });
  table.row(size.of("add_bias"), [&](size_t i) { add_bias_kernel(one, a[i], bias, out[i]); });
  table.row(size.of("bias_gradient"), [&](size_t i) { bias_gradient(a[i], bias); });
  table.row(size.of("copy_columns, half"), [&](size_t i) {
    copy_columns_kernel({0, a[0].bytes()}, a[i], size.columns / 2, 0, size.columns / 2, out[i]);
  });
}

void activations(const Table& table, const Size& size) {
  auto x = sets({size.rows, 2 * size.inner}), dx = sets({size.rows, 2 * size.inner}), y = sets({size.rows, size.inner});
  int64_t bytes = y[0].bytes();
  auto half = [](const Tensor& whole) { return whole.alias({2 * whole.shape()[0], whole.shape()[1] / 2}); };
  for (auto [kind, name] : {std::pair{Activation::gelu_tanh, "gelu_tanh"}, {Activation::gelu, "gelu"}}) {
    table.row(size.inner_of(name, size.inner), [&, kind = kind](size_t i) {
      Tensor out = y[(i + 1) % kSets];
      activate_kernel({0, 2 * bytes}, half(x[i]).rows(0, size.rows), kind, out);
    });
    table.row(size.inner_of(name, size.inner) + " backward", [&, kind = kind](size_t i) {
      Tensor out = half(dx[i]).rows(0, size.rows);
      activate_backward_kernel({0, 3 * bytes}, half(x[i]).rows(0, size.rows), y[i], kind, out);
    });
  }
  table.row(size.inner_of("swiglu", size.inner), [&](size_t i) {
    gated_activate_kernel({0, 3 * bytes}, x[i], Activation::silu, y[i]);
  });
  table.row(size.inner_of("swiglu", size.inner) + " backward", [&](size_t i) {
    gated_activate_backward_kernel({0, 5 * bytes}, x[i], y[i], Activation::silu, dx[i]);
  });
}

void norms(const Table& table, const Size& size) {
  auto x = sets({size.rows, size.columns}), y = sets({size.rows, size.columns}), dx = sets({size.rows, size.columns});
  Tensor weight = normals({size.columns}, DType::f32), bias = normals({size.columns}, DType::f32);
  Tensor stats = zeros({2, size.rows}), rstd = stats.rows(1, 1), out = Tensor::empty({size.columns});
  int64_t bytes = x[0].bytes();
  table.row(size.of("rms_norm"), [&](size_t i) {
    rms_norm_kernel({0, 2 * bytes}, x[i], weight, 1e-5f, 0, y[i], rstd);
  });
  table.row(size.of("layer_norm"), [&](size_t i) {
    layer_norm_kernel({0, 2 * bytes}, x[i], weight, bias, 1e-5f, y[i], stats);
  });
  table.row(size.of("rms_norm backward"), [&](size_t i) {
    Tensor partials = column_partials(size.rows, size.columns);
    rms_norm_backward_kernel({0, 3 * bytes}, x[i], weight, 0, rstd, y[i], dx[i], partials);
    sum_partials(partials, 0, {out, false, true});
  });
  table.row(size.of("rms_norm backward, dx alone"), [&](size_t i) {
    Tensor none;
    rms_norm_backward_kernel({0, 3 * bytes}, x[i], weight, 0, rstd, y[i], dx[i], none);
  });
  table.row(size.of("layer_norm backward"), [&](size_t i) {
    Tensor partials = column_partials(size.rows, 2 * size.columns);
    layer_norm_backward_kernel({0, 3 * bytes}, x[i], weight, stats, y[i], dx[i], partials);
    sum_partials(partials, 0, {out, false, true});
    sum_partials(partials, size.columns, {out, false, true});
  });
}

void rows_and_heads(const Table& table, const Size& size) {
  auto out = sets({size.rows, size.columns});
  Tensor words = normals({size.vocabulary, size.columns}), places = normals({1024, size.columns});
  Tensor ids = text_ids(size.rows, size.vocabulary), at = positions(size.rows, 1024);
  Tensor gradient = zeros({size.vocabulary, size.columns}), squares = zeros({1});
  table.row(size.of("gather_rows"), [&](size_t i) { gather_rows_kernel({0, 2 * out[i].bytes()}, words, ids, out[i]); });
  table.row(size.of("embedding_sum"), [&](size_t i) {
    embedding_sum_kernel({0, 3 * out[i].bytes()}, ids, words, at, places, out[i]);
  });
  table.row(size.of("scatter_rows, ids of text"), [&](size_t i) { scatter_rows(out[i], ids, gradient); });
  table.row(size.of("scatter_rows, positions"), [&](size_t i) {
    Tensor first = gradient.rows(0, 1024);
    scatter_rows(out[i], at, first);
  });
  table.row(text("sum_of_squares f32 [", size.vocabulary, ", ", size.columns, "]"),
            [&](size_t) { sum_of_squares(gradient, false, squares); });
  auto heads = sets({size.rows, size.columns * 3 / 2 / 64, 64});
  Tensor none;
  table.row(size.inner_of("rotary in place, heads of 64", size.columns * 3 / 2), [&](size_t i) {
    rotary_kernel({0, 2 * heads[i].bytes() * 5 / 6}, heads[i], at, heads[i].shape()[1] * 5 / 6, {.dims = 64}, false,
                  heads[i], none);
  });
}

int run(const std::string& filter) {
  if (accelerators().gpus.empty()) {
    std::cout << accelerators().why_none << '\n';
    return 0;
  }
  Runtime runtime({Backend::cuda}, int64_t{24} << 30);
  Table table(filter);
  for (const Size& size : {Size{32768, 768, 3072, 50257}, Size{16384, 2048, 5632, 32000}}) {
    elementwise(table, size);
    activations(table, size);
    norms(table, size);
    rows_and_heads(table, size);
  }
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int count, char** words) {
  try {
    return lathe::run(count == 3 && std::strcmp(words[1], "--filter") == 0 ? words[2] : "");
  } catch (const std::exception& error) {
    std::cerr << "gpu_ops_bench: " << error.what() << '\n';
    return 1;
  }
}
