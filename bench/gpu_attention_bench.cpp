// Attention on a GPU: a JSON line for each shape, with what script/gpu_bench puts beside PyTorch's.
// usage: gpu_attention_bench [repetitions]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "lathe/ops/attention.h"
#include "lathe/tensor/graphs.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

int repetitions = 10;

/// Milliseconds of one call of `work`, which runs `calls` times in a graph: the median over repetitions.
double milliseconds(int calls, const std::function<void()>& work) {
  Graphs graphs(1);
  Accelerator& device = *Runtime::current().accelerator;
  std::vector<double> times;
  for (int i = 0; i < repetitions + 4; ++i) {  // the first runs make the graph
    device.synchronize();
    auto start = std::chrono::steady_clock::now();
    graphs.run_unattended(0, [&] {
      for (int call = 0; call < calls; ++call) work();
    });
    device.synchronize();
    if (i >= 4)
      times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + long(times.size() / 2), times.end());
  return times[times.size() / 2] / calls;
}

constexpr size_t kDistinct = 1 << 20;

Tensor random_numbers(Shape shape) {
  std::vector<float> numbers(size_t(shape.elements()));
  Random random(1);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = i < kDistinct ? random.normal(i) : numbers[i - kDistinct];
  Tensor floats = Tensor::empty(shape);
  upload(std::span<const float>(numbers), floats);
  return converted(floats, DType::bf16);
}

Tensor numbers_of(const std::vector<int32_t>& values) {
  Tensor tensor = Tensor::empty({int64_t(values.size())}, DType::i32);
  upload(std::span<const int32_t>(values), tensor);
  return tensor;
}

struct Ignore : GradientSink {
  void receive(const Tensor&) override {}
};

/// A shape: `lengths` of the sequences, which repeat `batch` times.
struct Case {
  const char* mask;
  int64_t head_dim, batch;
  std::vector<int32_t> lengths;
  int64_t window = 0;
  int64_t heads = 16, kv_heads = 16;
};

void print(const Case& c, const char* pass, double ms, double flops) {
  int64_t tokens = 0;
  for (int32_t length : c.lengths) tokens += length;
  nlohmann::ordered_json line{{"bench", "attention"},      {"pass", pass},           {"mask", c.mask},
                              {"head_dim", c.head_dim},    {"tokens", tokens},       {"batch", c.batch},
                              {"heads", c.heads},          {"kv_heads", c.kv_heads}, {"ms", ms},
                              {"tflops", flops / ms / 1e9}};
  std::cout << line.dump() << std::endl;
}

/// Pairs of a query and a key it sees; causal ones are half a square, as everyone counts them.
double pairs_of(const Case& c) {
  double pairs = 0;
  for (double length : c.lengths) {
    double unseen = c.window && length > double(c.window) ? length - double(c.window) : 0;
    pairs += (length * length - unseen * unseen) / 2;
  }
  return pairs * double(c.batch);
}

/// As many calls of so many operations as take some 2 ms. More would measure another clock than PyTorch's few calls do:
/// an H200 that multiplies for longer than some 50 ms lowers it, from 1.8 GHz to 1.6 or 1.4.
int calls_of(double operations) { return std::clamp(int(2e-3 * 5e14 / operations), 1, 10); }

void measure(const Case& c) {
  Runtime runtime({Backend::cuda}, int64_t{12} << 30);
  AttentionSpec spec;
  spec.heads = c.heads, spec.kv_heads = c.kv_heads, spec.head_dim = c.head_dim, spec.window = c.window;
  spec.scale = 1 / std::sqrt(float(c.head_dim));
  std::vector<int32_t> offsets{0};
  for (int64_t n = 0; n < c.batch; ++n)
    for (int32_t length : c.lengths) offsets.push_back(offsets.back() + length);
  Packed packed{numbers_of(offsets), *std::max_element(c.lengths.begin(), c.lengths.end()), offsets};
  Tensor qkv = random_numbers({offsets.back(), c.heads + 2 * c.kv_heads, c.head_dim});
  Tensor dout = random_numbers({offsets.back(), c.heads * c.head_dim});
  double flops = 4 * pairs_of(c) * double(c.heads * c.head_dim);
  double forward = milliseconds(calls_of(flops), [&] { attention(qkv, packed, spec); });
  Ignore sink;
  qkv.make_leaf(&sink);
  double both = milliseconds(calls_of(3.5 * flops), [&] {
    Tape tape;
    Tensor out;
    {
      Recording on(&tape);
      out = attention(qkv, packed, spec);
    }
    tape.backward(out, dout);
  });
  print(c, "forward", forward, flops);
  print(c, "backward", both - forward, 2.5 * flops);
}

void measure_decoding(int64_t sequences, int64_t length) {
  Runtime runtime({Backend::cuda}, int64_t{12} << 30);
  AttentionSpec spec;
  spec.heads = 32, spec.kv_heads = 4, spec.head_dim = 64, spec.scale = 0.125f;
  // caches of several layers, so that they are read from memory
  int64_t slot_bytes = 2 * spec.kv_heads * spec.head_dim * 2;
  int64_t layers = std::clamp<int64_t>((int64_t{256} << 20) / (sequences * length * slot_bytes), 1, 22);
  std::vector<Tensor> caches;
  for (int64_t i = 0; i < layers; ++i)
    caches.push_back(random_numbers({sequences * length, 2 * spec.kv_heads, spec.head_dim}));
  Tensor q = random_numbers({sequences, spec.heads, spec.head_dim});
  std::vector<int32_t> offsets{0}, starts, lengths;
  for (int64_t n = 0; n < sequences; ++n) {
    offsets.push_back(int32_t(n + 1)), starts.push_back(int32_t(n * length));
    lengths.push_back(int32_t(length));
  }
  CachedSequences cached{numbers_of(starts), numbers_of(lengths), length};
  Tensor query_offsets = numbers_of(offsets);
  double ms = milliseconds(1, [&] {
    for (int repeat = 0; repeat < 4; ++repeat)
      for (const Tensor& cache : caches) attention_cached(q, cache, query_offsets, cached, spec);
  });
  ms /= 4 * double(layers);
  double bytes = double(sequences * length * slot_bytes);
  nlohmann::ordered_json line{
      {"bench", "decode_attention"}, {"batch", sequences},        {"length", length}, {"heads", spec.heads},
      {"kv_heads", spec.kv_heads},   {"head_dim", spec.head_dim}, {"us", ms * 1e3},   {"gb_per_s", bytes / ms / 1e6}};
  std::cout << line.dump() << std::endl;
}

void run() {
  for (int64_t dim : {64, 128})
    for (auto [length, batch] : {std::pair<int32_t, int64_t>{1024, 16}, {4096, 4}, {16384, 1}})
      measure({"causal", dim, batch, {length}});
  // documents that fill one row of 16384 tokens
  std::vector<int32_t> documents{1000, 300, 2500, 120, 1700, 600, 4000, 64, 900, 2100, 450, 1500, 1150};
  for (int64_t dim : {64, 128}) {
    measure({"window 1024", dim, 1, {16384}, 1024});
    measure({"documents", dim, 1, documents});
  }
  measure({"causal", 64, 8, {2048}, 0, 32, 4});
  for (int64_t sequences : {1, 8, 32})
    for (int64_t length : {256, 2048, 16384}) measure_decoding(sequences, length);
}

}  // namespace
}  // namespace lathe

int main(int count, char** arguments) {
  if (lathe::accelerators().gpus.empty()) {
    std::cerr << lathe::accelerators().why_none << '\n';
    return 1;
  }
  if (count > 1) lathe::repetitions = std::atoi(arguments[1]);
  lathe::run();
}
