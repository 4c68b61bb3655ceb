// The dense products of training steps and of decoding on a GPU: forward, gradient of x (dx) and of the weight (dw).
// Shares are of the best rate of 8192 x 8192 x 8192 in the same run; decoding's, which blocks do too, of what a copy
// reads and writes.
// usage: gpu_matmul_bench
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "lathe/base/error.h"
#include "lathe/ops/matmul_choices.h"
#include "lathe/ops/matmul_fp8.h"
#include "lathe/ops/matmul_packed.h"
#include "lathe/ops/matmul_product.h"
#include "lathe/quant/block_records.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

/// Random numbers: zeros would need less power, and so run at a higher clock.
Tensor random_tensor(Shape shape, DType dtype = DType::bf16) {
  constexpr int64_t kPiece = 1 << 20;
  static const std::vector<BF16> values = [] {
    std::vector<BF16> made;
    for (int64_t i = 0; i < kPiece; ++i) made.push_back(BF16(Random(1).uniform(uint64_t(i)) - 0.5f));
    return made;
  }();
  Tensor tensor = Tensor::empty({shape.elements()}, dtype);
  for (int64_t first = 0; first < shape.elements(); first += kPiece) {
    int64_t count = std::min(kPiece, shape.elements() - first);
    Tensor piece = tensor.rows(first, count), from = Tensor::empty({count}, DType::bf16);
    upload(std::span(values.data(), size_t(count)), from);
    copy(from, piece);
  }
  return tensor.alias(shape);
}

/// Median of five timings of a graph of many calls, which the device works off without the host.
double seconds_of(const std::function<void()>& run) {
  Accelerator& device = *Runtime::current().accelerator;
  auto timed = [&](int times) {
    std::unique_ptr<Graph> graph = device.capture(0, [&] {
      for (int i = 0; i < times; ++i) run();
    });
    std::vector<double> seconds;
    for (int i = 0; i < 6; ++i) {  // the first one fills caches and wakes the clock
      device.synchronize();
      auto start = std::chrono::steady_clock::now();
      device.launch(*graph);
      device.synchronize();
      if (i > 0) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::sort(seconds.begin(), seconds.end());
    return seconds[2] / times;
  };
  {
    MeasureProducts measuring;
    run();
  }
  return timed(std::clamp(int(0.01 / timed(1)), 2, 500));
}

double best_rate() {
  constexpr int64_t kExtent = 8192;
  Tensor a = random_tensor({kExtent, kExtent}), b = random_tensor({kExtent, kExtent});
  Tensor out = Tensor::empty({kExtent, kExtent}, DType::bf16);
  return 2.0 * kExtent * kExtent * kExtent / seconds_of([&] { multiply({.a = {a}, .b = {b}}, out); });
}

struct Weights {
  const char* name;
  int64_t out, in;
  int times;         ///< in a step
  int64_t rows = 0;  ///< of x, when not all tokens
};

struct Step {
  const char* job;
  int64_t tokens;
  bool bias;
  std::vector<Weights> weights;
};

const std::vector<Step> kSteps = {{"gpt2-124m",
                                   32768,
                                   true,
                                   {{"qkv", 2304, 768, 12},
                                    {"o", 768, 768, 12},
                                    {"fc", 3072, 768, 12},
                                    {"proj", 768, 3072, 12},
                                    {"head 50257", 50257, 768, 0, 8192},
                                    {"head 50304", 50304, 768, 4, 8192}}},
                                  {"llama-135m",
                                   32768,
                                   false,
                                   {{"qkv", 960, 576, 30},
                                    {"o", 576, 576, 30},
                                    {"gate_up", 3072, 576, 30},
                                    {"down", 576, 1536, 30},
                                    {"head", 49152, 576, 4, 8192}}},
                                  {"gpt2-350m",
                                   16384,
                                   true,
                                   {{"qkv", 3072, 1024, 24},
                                    {"o", 1024, 1024, 24},
                                    {"fc", 4096, 1024, 24},
                                    {"proj", 1024, 4096, 24},
                                    {"head 50304", 50304, 1024, 2, 8192}}},
                                  {"llama-1.1b",
                                   16384,
                                   false,
                                   {{"qkv", 2560, 2048, 22},
                                    {"o", 2048, 2048, 22},
                                    {"gate_up", 11264, 2048, 22},
                                    {"down", 2048, 5632, 22},
                                    {"head", 32000, 2048, 2, 8192}}}};

struct Total {
  double seconds = 0, flops = 0;
};

void report(const char* job, const char* name, const char* part, int64_t a, int64_t b, int64_t depth, double seconds,
            double best) {
  double rate = 2.0 * double(a) * double(b) * double(depth) / seconds;
  printf("%-11s %-11s %-7s %6ld %6ld %6ld %9.1f us %7.1f TFLOP/s %6.3f\n", job, name, part, long(a), long(b),
         long(depth), seconds * 1e6, rate / 1e12, rate / best);
}

Total train(const Step& step, const Weights& w, double best) {
  int64_t rows = w.rows ? w.rows : step.tokens;
  Tensor x = random_tensor({rows, w.in}), y = random_tensor({rows, w.out}), weight = random_tensor({w.out, w.in});
  Tensor bias = step.bias && w.rows == 0 ? random_tensor({w.out}, DType::f32) : Tensor();
  Tensor residual = w.out == w.in || w.in > w.out ? random_tensor({rows, w.out}) : Tensor();
  Tensor dx = Tensor::empty({rows, w.in}, DType::bf16), dw = Tensor::empty({w.out, w.in}, DType::f32);
  double forward = seconds_of([&] { multiply({.a = {x}, .b = {weight}, .bias = bias, .residual = residual}, y); });
  double to_x = seconds_of([&] { multiply({.a = {y}, .b = {weight, true}}, dx); });
  double to_weight = seconds_of([&] { multiply({.a = {y, true}, .b = {x, true}}, dw); });
  report(step.job, w.name, "forward", rows, w.out, w.in, forward, best);
  report(step.job, w.name, "dx", rows, w.in, w.out, to_x, best);
  report(step.job, w.name, "dw", w.out, w.in, rows, to_weight, best);
  return {w.times * (forward + to_x + to_weight), w.times * 6.0 * double(rows) * double(w.out) * double(w.in)};
}

using Multiply = Tensor (*)(const Tensor&, const Tensor&, const Epilogue&);

/// Takes a gradient where it lies, as a trainer does.
struct InPlace : GradientSink {
  explicit InPlace(Shape shape) : gradient(Tensor::empty(shape)) {}
  std::optional<GradientSlot> slot() override { return GradientSlot{gradient, false}; }
  void receive(const Tensor&) override {}
  Tensor gradient;
};

struct Dropped : GradientSink {
  void receive(const Tensor&) override {}
};

/// Forward and backward of one product, with quantization where there is some.
double seconds_of_both(Multiply multiply, int64_t tokens, const Weights& w) {
  Tensor x = random_tensor({tokens, w.in}), weight = random_tensor({w.out, w.in}), dy = random_tensor({tokens, w.out});
  InPlace dweight(weight.shape());
  Dropped dx;
  x.make_leaf(&dx), weight.make_leaf(&dweight);
  return seconds_of([&] {
    Tape tape;
    Tensor y;
    {
      Recording on(&tape);
      y = multiply(x, weight, {});
    }
    tape.backward(y, dy);
  });
}

void train_fp8() {
  const Step& step = kSteps.back();
  double with_bf16 = 0, with_fp8 = 0;
  for (const Weights& w : step.weights) {
    if (w.rows) continue;  // the head stays in bf16
    double bf16 = seconds_of_both(matmul, step.tokens, w), fp8 = seconds_of_both(matmul_fp8, step.tokens, w);
    printf("%-11s %-11s bf16 %9.1f us, fp8 with quantization %9.1f us, %.2f times as fast\n", step.job, w.name,
           bf16 * 1e6, fp8 * 1e6, bf16 / fp8);
    with_bf16 += w.times * bf16, with_fp8 += w.times * fp8;
  }
  printf("%-11s whole step without head: bf16 %.2f ms, fp8 %.2f ms, %.2f times as fast\n", step.job, with_bf16 * 1e3,
         with_fp8 * 1e3, with_bf16 / with_fp8);
}

void train(double best) {
  for (const Step& step : kSteps) {
    Total total;
    for (const Weights& w : step.weights) {
      Total part = train(step, w, best);
      total.seconds += part.seconds, total.flops += part.flops;
    }
    printf("%-11s whole step: %.2f ms of products, %.1f TFLOP/s, share %.3f\n", step.job, total.seconds * 1e3,
           total.flops / total.seconds / 1e12, total.flops / total.seconds / best);
  }
}

double copy_rate() {
  Tensor from = random_tensor({int64_t{1} << 29}), to = Tensor::empty_like(from);
  return 2.0 * double(from.bytes()) / seconds_of([&] { copy(from, to); });
}

void report_decoding(const char* format, const Weights& w, int64_t rows, double bytes, double seconds, double copying) {
  printf("decode %-5s %-8s %2ld rows %6ld %6ld %8.2f us %6.0f GB/s, share of copy %.3f\n", format, w.name, long(rows),
         long(w.out), long(w.in), seconds * 1e6, bytes / seconds / 1e9, bytes / seconds / copying);
}

constexpr int64_t kDecodedBytes = 640 << 20;  ///< of weights that are multiplied in turn: more than the caches hold

void decode(double copying) {
  for (Weights w : kSteps.back().weights)
    for (int64_t rows : {1, 4, 8, 16, 32, 64}) {
      Tensor x = random_tensor({rows, w.in}), y = Tensor::empty({rows, w.out}, DType::bf16);
      std::vector<PackedMatrix> weights;
      while (int64_t(weights.size()) * w.out * w.in * 2 < kDecodedBytes)
        weights.push_back(pack_in_place(random_tensor({w.out, w.in})));
      double seconds = seconds_of([&] {
        for (const PackedMatrix& weight : weights) multiply({.a = {x}, .b = {weight.panels, false, weight.shape}}, y);
      });
      report_decoding("bf16", w, rows, double(w.out * w.in * 2 + x.bytes() + y.bytes()),
                      seconds / double(weights.size()), copying);
    }
}

/// A weight as a GPU has it, of any bytes, but halves are between 0 and 2: numbers.
BlockMatrix random_blocks(const BlockFormat& format, const Weights& w) {
  constexpr int64_t kPiece = 1 << 22;
  static const std::vector<uint32_t> words = [] {
    std::vector<uint32_t> made;
    for (int64_t i = 0; i < kPiece / 4; ++i) made.push_back(Random(1).bits(uint64_t(i)) & 0x3fff3fff);
    return made;
  }();
  Tensor blocks = Tensor::empty({BlockRecords(format).bytes_of({w.out, w.in})}, DType::u8);
  for (int64_t first = 0; first < blocks.bytes(); first += kPiece) {
    int64_t count = std::min(kPiece, blocks.bytes() - first);
    Tensor piece = blocks.rows(first, count);
    upload(std::as_bytes(std::span(words)).first(size_t(count)), piece);
  }
  return {&format, blocks, {w.out, w.in}, true};
}

void decode_blocks(const BlockFormat& format, double copying) {
  for (Weights w : kSteps.back().weights) {
    std::vector<BlockMatrix> weights;
    for (int64_t bytes = 0; bytes < kDecodedBytes; bytes += weights.back().blocks.bytes())
      weights.push_back(random_blocks(format, w));
    for (int64_t rows : {1, 2, 4, 8, 16, 32}) {
      Tensor x = random_tensor({rows, w.in});
      double seconds = seconds_of([&] {
        for (const BlockMatrix& weight : weights) multiply_blocks(x, {&weight, 1});
      });
      report_decoding(format.name.data(), w, rows, double(weights[0].blocks.bytes() + x.bytes() + rows * w.out * 2),
                      seconds / double(weights.size()), copying);
    }
  }
}

int run() {
  require(!accelerators().gpus.empty(), accelerators().why_none);
  Runtime runtime({Backend::cuda}, int64_t{12} << 30);
  double copying = copy_rate();
  printf("copy %.0f GB/s read and written\n", copying / 1e9);
  decode(copying);
  for (const char* name : {"Q8_0", "Q6_K", "Q4_K", "Q4_0"}) decode_blocks(*find_block_format(name), copying);
  double best = best_rate();
  printf("8192 x 8192 x 8192 bf16: %.1f TFLOP/s\n", best / 1e12);
  train(best);
  train_fp8();
  return 0;
}

}  // namespace
}  // namespace lathe

int main() {
  try {
    return lathe::run();
  } catch (const std::exception& error) {
    fprintf(stderr, "gpu_matmul_bench: %s\n", error.what());
    return 1;
  }
}
