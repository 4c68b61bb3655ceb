#include "lathe/plan/ceilings.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <span>

#include "lathe/base/threads.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

/// For processors without AVX2: four lanes, multiplied, then added.
void peak_plain(int64_t rounds, bool, Tensor& values) {
  typedef float Four __attribute__((vector_size(16)));
  constexpr int64_t kChains = 8;
  for (int64_t i = 0; i < kPeakLanes; i += 4 * kChains) {
    Four* from = reinterpret_cast<Four*>(values.data<float>() + i);
    Four sums[kChains];
    std::copy(from, from + kChains, sums);
    for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 8
      for (Four& sum : sums) sum = sum * 0.5f + 1e-3f;
    std::copy(sums, sums + kChains, from);
  }
}

const bool provided = peak_kernel.provide(Isa::plain, peak_plain);

/// The least seconds of `run` within 20 ms, after one run to warm up.
double best_seconds(const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30, spent = 0;
  for (int i = 0; i < 3 || spent < 0.02; ++i) {
    auto start = Clock::now();
    run();
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (i > 0) best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

/// The sum of the rates that `rate` returns to each thread at once. Each takes the best of its own runs, so that one
/// which has to wait for its processor does little harm.
double sum_over_threads(const std::function<double(int64_t thread)>& rate) {
  double sum = 0;
#pragma omp parallel for schedule(static, 1) num_threads(threads()) reduction(+ : sum)
  for (int64_t thread = 0; thread < threads(); ++thread) sum += rate(thread);
  return sum;
}

double measured_peak(DType dtype) {
  constexpr int64_t kRounds = 1 << 14;
  // Elsewhere bf16 is widened and multiplied as f32.
  const bool pairs = dtype == DType::bf16 && isa() == Isa::avx512 && multiplies_pairs();
  const Work work{.flops = 2 * (pairs ? 2 : 1) * kRounds * kPeakLanes};
  return sum_over_threads([&](int64_t) {
    Runtime runtime({}, 4096);
    Tensor values = zeros({kPeakLanes});
    return double(work.flops) / best_seconds([&] { peak_kernel(work, kRounds, pairs, values); });
  });
}

/// Zeros that no cache holds, a share for each thread, which writes it first: the kernel then clears pages in parallel.
class Pages {
 public:
  std::span<uint64_t> share(int64_t thread) {
    int64_t count = kWords / threads();
    std::span<uint64_t> words(words_.get() + thread * count, size_t(count));
    std::fill(words.begin(), words.end(), 0);
    return words;
  }

 private:
  static constexpr int64_t kWords = int64_t{4} << 20;  ///< 32 MiB
  std::unique_ptr<uint64_t[]> words_ = std::make_unique_for_overwrite<uint64_t[]>(kWords);
};

double measured_copy_rate() {
  Pages from, to;
  return sum_over_threads([&](int64_t thread) {
    std::span<uint64_t> source = from.share(thread), target = to.share(thread);
    return 2.0 * double(source.size_bytes()) /
           best_seconds([&] { std::memcpy(target.data(), source.data(), source.size_bytes()); });
  });
}

uint64_t sum_of(std::span<const uint64_t> words) {
  uint64_t sums[16] = {};
  for (size_t i = 0; i + 16 <= words.size(); i += 16)
    for (size_t j = 0; j < 16; ++j) sums[j] += words[i + j];
  uint64_t sum = 0;
  for (uint64_t part : sums) sum += part;
  return sum;
}

}  // namespace

Ceilings measured_ceilings(DType dtype) { return {measured_peak(dtype), measured_copy_rate()}; }

double measured_read_rate() {
  Pages first, second;
  std::atomic<uint64_t> seen = 0;  // always zero, but used, so that reading is not left out
  return sum_over_threads([&](int64_t thread) {
    std::span<uint64_t> a = first.share(thread), b = second.share(thread);
    return double(a.size_bytes() + b.size_bytes()) / best_seconds([&] { seen += sum_of(a) + sum_of(b); });
  });
}

}  // namespace lathe
