// The dense products of a GPT-2 124M step of 4 x 512 tokens beside oneDNN's, after checking that they agree.
// usage: matmul_bench
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "lathe/ops/matmul_product.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

struct Case {
  const char* name;
  int64_t a, b, depth;
  bool a_across, b_across;
  int times;  ///< in a step
};

Tensor random_tensor(Shape shape, DType dtype, uint64_t seed) {
  Tensor values = Tensor::empty(shape);
  for (int64_t i = 0; i < values.elements(); ++i) values.data<float>()[i] = Random(seed).uniform(uint64_t(i)) - 0.5f;
  return converted(values, dtype);
}

double best_seconds(const std::function<void()>& run) {
  double best = 1e9, spent = 0;
  for (int i = 0; i < 3 || spent < 0.3; ++i) {
    auto start = std::chrono::steady_clock::now();
    run();
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

/// oneDNN's product of the same operands, strides telling which lies across.
class Peer {
 public:
  Peer(const Case& c, const Tensor& a, const Tensor& b, const Tensor& out) {
    using dnnl::memory;
    auto type = [](const Tensor& t) {
      return t.dtype() == DType::f32 ? memory::data_type::f32 : memory::data_type::bf16;
    };
    memory::desc left({c.a, c.depth}, type(a), c.a_across ? memory::dims{1, c.a} : memory::dims{c.depth, 1});
    memory::desc right({c.depth, c.b}, type(b), c.b_across ? memory::dims{c.b, 1} : memory::dims{1, c.depth});
    memory::desc result({c.a, c.b}, type(out), memory::dims{c.b, 1});
    product_ = dnnl::matmul({{left, right, result}, engine_});
    arguments_ = {{DNNL_ARG_SRC, memory(left, engine_, a.data<std::byte>())},
                  {DNNL_ARG_WEIGHTS, memory(right, engine_, b.data<std::byte>())},
                  {DNNL_ARG_DST, memory(result, engine_, out.data<std::byte>())}};
  }
  void run() {
    product_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul product_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

double relative_difference(const Tensor& x, const Tensor& y) {
  Tensor left = converted(x, DType::f32), right = converted(y, DType::f32);
  double difference = 0, size = 0;
  for (int64_t i = 0; i < left.elements(); ++i) {
    double l = left.data<float>()[i], r = right.data<float>()[i];
    difference += (l - r) * (l - r), size += r * r;
  }
  return std::sqrt(difference / size);
}

int run() {
  Runtime runtime({}, int64_t{4} << 30);
  const Case cases[] = {
      {"qkv", 2048, 2304, 768, false, false, 12},        {"qkv dx", 2048, 768, 2304, false, true, 12},
      {"qkv dw", 2304, 768, 2048, true, true, 12},       {"proj", 2048, 768, 768, false, false, 12},
      {"proj dx", 2048, 768, 768, false, true, 12},      {"proj dw", 768, 768, 2048, true, true, 12},
      {"fc", 2048, 3072, 768, false, false, 12},         {"fc dx", 2048, 768, 3072, false, true, 12},
      {"fc dw", 3072, 768, 2048, true, true, 12},        {"mlp proj", 2048, 768, 3072, false, false, 12},
      {"mlp proj dx", 2048, 3072, 768, false, true, 12}, {"mlp proj dw", 768, 3072, 2048, true, true, 12},
      {"head", 320, 50257, 768, false, false, 7},        {"head dx", 320, 768, 50257, false, true, 7},
      {"head dw", 50257, 768, 320, true, true, 7}};
  printf("%-6s %-12s %7s %7s %7s %12s %12s %7s\n", "dtype", "product", "a", "b", "depth", "lathe GF/s", "oneDNN GF/s",
         "ratio");
  for (DType dtype : {DType::f32, DType::bf16}) {
    double ours = 0, theirs = 0, flops = 0;
    for (const Case& c : cases) {
      Tensor a = random_tensor(c.a_across ? Shape{c.depth, c.a} : Shape{c.a, c.depth}, dtype, 1);
      Tensor b = random_tensor(c.b_across ? Shape{c.depth, c.b} : Shape{c.b, c.depth}, dtype, 2);
      DType result = c.a_across ? DType::f32 : dtype;  // gradients of weights
      Tensor out = Tensor::empty({c.a, c.b}, result), peer_out = Tensor::empty({c.a, c.b}, result);
      Peer peer(c, a, b, peer_out);
      double mine = best_seconds([&] { multiply({.a = {a, c.a_across}, .b = {b, c.b_across}}, out); });
      double other = best_seconds([&] { peer.run(); });
      double difference = relative_difference(out, peer_out);
      require(difference < (dtype == DType::f32 ? 1e-5 : 1e-2), c.name, ": the products differ by ", difference);
      double work = 2.0 * double(c.a) * double(c.b) * double(c.depth);
      printf("%-6s %-12s %7ld %7ld %7ld %12.0f %12.0f %7.2f\n", name_of(dtype), c.name, long(c.a), long(c.b),
             long(c.depth), work / mine / 1e9, work / other / 1e9, other / mine);
      ours += c.times * mine, theirs += c.times * other, flops += c.times * work;
    }
    printf("%-6s %-12s %7s %7s %7s %12.0f %12.0f %7.2f\n", name_of(dtype), "whole step", "", "", "", flops / ours / 1e9,
           flops / theirs / 1e9, theirs / ours);
  }
  return 0;
}

}  // namespace
}  // namespace lathe

int main() {
  try {
    return lathe::run();
  } catch (const std::exception& error) {
    fprintf(stderr, "matmul_bench: %s\n", error.what());
    return 1;
  }
}
