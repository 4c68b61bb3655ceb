// Greedy decoding of GPT-2 124M in bf16, one sequence: how much of the memory's read bandwidth it reaches.
//   build/release/bench/decode_bench [--profile] [--runs N]
// A step must read every weight once; the fraction is those bytes a second against plain reading, measured in turns in
// the same run. The tokens are checked against forward passes without a cache first.
#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"
#include "lathe/base/threads.h"
#include "lathe/infer/decoder.h"
#include "lathe/models/family.h"
#include "lathe/nn/prepare.h"
#include "lathe/ops/attention.h"
#include "lathe/tensor/random.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kPrompt = 32, kTokens = 64;

double seconds_of(const std::function<void()>& work) {
  Clock::time_point start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

ModelConfig gpt2_124m() {
  ModelConfig config;
  config.model_type = "gpt2";
  config.vocab_size = 50257;
  config.hidden_size = 768;
  config.num_hidden_layers = 12;
  config.num_attention_heads = 12;
  config.max_position_embeddings = 1024;
  return completed(config);
}

/// Normal numbers in any type, cheaper than lathe's own initialization: blocks of 4096 repeat with other signs.
void fill(const Inventory& some) {
  for (Parameter* parameter : some.parameters) {
    Random random = Random(1).fork(parameter->name());
    std::vector<float> block(4096);
    for (size_t i = 0; i < block.size(); ++i) block[i] = random.normal(i) * 0.05f;
    float mean = parameter->init.kind == Init::Kind::ones ? 1.0f : 0.0f;
    visit_floating(parameter->kept.dtype(), [&]<class T>(Element<T>) {
      T* to = parameter->kept.data<T>();
      for (int64_t i = 0; i < parameter->kept.elements(); ++i)
        to[i] = T(mean + ((random.bits(uint64_t(i / 4096)) >> (i % 32)) & 1 ? 1.0f : -1.0f) * block[size_t(i % 4096)]);
    });
  }
}

uint32_t likeliest(const Tensor& logits, int64_t row) {
  const BF16* from = logits.data<BF16>() + row * logits.shape().columns();
  return uint32_t(
      std::max_element(from, from + logits.shape().columns(), [](BF16 a, BF16 b) { return float(a) < float(b); }) -
      from);
}

/// XOR of `bytes`, in eight sums so that nothing waits for additions.
__attribute__((target("avx2"))) int64_t read_all(const std::byte* from, int64_t bytes) {
  __m256i sums[8];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (const std::byte* end = from + bytes / 256 * 256; from != end; from += 256)
    for (int i = 0; i < 8; ++i)
      sums[i] = _mm256_xor_si256(sums[i], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32 * i)));
  for (int i = 1; i < 8; ++i) sums[0] = _mm256_xor_si256(sums[0], sums[i]);
  return _mm256_extract_epi64(sums[0], 0);
}

/// Bytes a second that all threads together read from `buffer`, a run each, the best of a few turns.
double read_bandwidth(const Tensor& buffer) {
  double best = 0;
  [[maybe_unused]] static volatile int64_t kept;  // or the reading is left out
  for (int turn = 0; turn < 5; ++turn) {
    int64_t total = 0;
    double seconds = seconds_of([&] {
#pragma omp parallel reduction(^ : total)
      {
        int64_t share = buffer.bytes() / omp_get_num_threads() / 4096 * 4096;
        total = read_all(buffer.data<std::byte>() + omp_get_thread_num() * share, share);
      }
    });
    kept = total;
    best = std::max(best, double(buffer.bytes()) / seconds);
  }
  return best;
}

/// Attention without a cache: the oracle.
class WholePass : public Pass {
 public:
  explicit WholePass(const std::vector<uint32_t>& tokens) {
    int64_t n = int64_t(tokens.size());
    tokens_ = Tensor::empty({n}, DType::i32), positions_ = Tensor::empty({n}, DType::i32);
    offsets_ = Tensor::empty({2}, DType::i32);
    for (int64_t i = 0; i < n; ++i) {
      tokens_.data<int32_t>()[i] = int32_t(tokens[size_t(i)]);
      positions_.data<int32_t>()[i] = int32_t(i);
    }
    offsets_.data<int32_t>()[0] = 0, offsets_.data<int32_t>()[1] = int32_t(n);
  }
  const Tensor& tokens() const override { return tokens_; }
  const Tensor& positions() const override { return positions_; }
  Tensor attend(int, const Tensor& qkv, const AttentionSpec& spec) override {
    return attention(qkv, offsets_, tokens_.elements(), spec);
  }
  Tensor rows(const Tensor& hidden) const override { return hidden.rows(hidden.shape()[0] - 1, 1); }

 private:
  Tensor tokens_, positions_, offsets_;
};

struct Bench {
  ModelConfig config = gpt2_124m();
  DecoderLimits limits{.sequences = 1, .length = int64_t(kPrompt + kTokens), .step_tokens = int64_t(kPrompt)};
  InferencePlan plan = plan_inference(config, DType::bf16, limits);
  Runtime runtime{{}, plan.capacity + (int64_t{768} << 20)};  // with room for the oracle and for plain reading
  std::unique_ptr<Model> model = make_model(config);
  std::unique_ptr<Decoder> decoder;

  Bench() {
    prepare_for_use(*model, DType::bf16, fill);
    decoder = std::make_unique<Decoder>(*model, config, DType::bf16, limits);
  }

  uint32_t step(std::span<const uint32_t> tokens) {
    uint32_t next = 0;
    Feed feed{0, tokens};
    replay(plan.step.placement, [&] {
      decoder->step({&feed, 1}, [&](const Tensor& logits) { next = likeliest(logits, 0); });
    });
    return next;
  }

  struct Decoded {
    std::vector<uint32_t> tokens;
    std::vector<double> seconds;  ///< of each step but the prompt's
  };
  Decoded decode() {
    Decoded decoded;
    for (uint32_t i = 0; i < kPrompt; ++i) decoded.tokens.push_back(Random(7).bits(i) % 50257);
    decoder->clear(0);
    decoded.tokens.push_back(step(decoded.tokens));
    while (decoded.tokens.size() < kPrompt + kTokens)
      decoded.seconds.push_back(
          seconds_of([&] { decoded.tokens.push_back(step(std::span(&decoded.tokens.back(), 1))); }));
    return decoded;
  }

  void check(const std::vector<uint32_t>& tokens) {
    for (size_t length : {kPrompt, kPrompt + 1, kPrompt + 17, tokens.size() - 1}) {
      WholePass pass({tokens.begin(), tokens.begin() + int64_t(length)});
      uint32_t expected = likeliest(model->forward(pass), 0);
      require(tokens[length] == expected, "token ", length, " is ", tokens[length], " but ", expected,
              " without a cache");
    }
  }

  /// What a step must read: all weights but the table of positions.
  double bytes() {
    double bytes = double(plan.by_purpose[size_t(Purpose::weights)]);
    return bytes - 2.0 * double(config.max_position_embeddings * config.hidden_size);
  }
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + int64_t(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void profile(Bench& bench) {
  struct Total {
    int64_t calls = 0;
    double seconds = 0;
  };
  std::map<std::string, Total> totals;
  bench.runtime.on_kernel = [&](std::string_view kernel, Work work, double seconds) {
    Total& total = totals[text(kernel, work.bytes > (1 << 20) ? text(" of ", work.bytes >> 20, " MiB") : "")];
    ++total.calls;
    total.seconds += seconds;
  };
  Bench::Decoded decoded = bench.decode();
  bench.runtime.on_kernel = nullptr;
  double all = 0, inside = 0;
  for (double seconds : decoded.seconds) all += seconds;
  for (auto& [kernel, total] : totals) inside += total.seconds;
  std::cout << "of " << format_fixed(1e3 * all, 1) << " ms for " << decoded.seconds.size()
            << " steps (and the prompt):\n";
  for (auto& [kernel, total] : totals)
    std::cout << "  " << format_fixed(1e3 * total.seconds, 2) << " ms  " << total.calls << " x " << kernel << ", "
              << format_fixed(1e6 * total.seconds / double(total.calls), 1) << " us each\n";
  std::cout << "  " << format_fixed(1e3 * inside, 1) << " ms in kernels\n";
}

int run(int argc, char** argv) {
  bool profiled = false;
  int runs = 5;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--profile") == 0) profiled = true;
    if (std::strcmp(argv[i], "--runs") == 0 && i + 1 < argc) runs = std::atoi(argv[++i]);
  }
  set_threads(threads());
  Bench bench;
  Bench::Decoded first = bench.decode();
  bench.check(first.tokens);
  std::cout << "tokens equal those without a cache\n";
  Tensor buffer = Tensor::empty({int64_t{512} << 20}, DType::u8);
  std::fill_n(buffer.data<uint8_t>(), buffer.bytes(), uint8_t{1});
  std::vector<double> fractions;
  for (int i = 0; i < runs; ++i) {
    double bandwidth = read_bandwidth(buffer);
    double seconds = median(bench.decode().seconds);
    fractions.push_back(bench.bytes() / seconds / bandwidth);
    std::cout << "read " << format_fixed(bandwidth / 1e9, 2) << " GB/s; decode " << format_fixed(1e3 * seconds, 2)
              << " ms a token, " << format_fixed(1 / seconds, 1) << " tokens/s, "
              << format_fixed(bench.bytes() / seconds / 1e9, 2) << " GB/s of weights; fraction "
              << format_fixed(fractions.back(), 3) << '\n';
  }
  std::cout << "median fraction " << format_fixed(median(fractions), 3) << " (bar 0.70), " << threads() << " threads\n";
  if (profiled) profile(bench);
  return 0;
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  try {
    return lathe::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "decode_bench: " << error.what() << '\n';
    return 1;
  }
}
