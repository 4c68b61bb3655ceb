#include "lathe/train/ceiling.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>

#include "lathe/ops/matmul.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

/// Memory that no cache holds, in pieces for threads to take.
struct Pages {
  static constexpr int64_t kPieces = 64, kWords = int64_t{64} * 1024;  ///< of 8 bytes a piece: 32 MiB in all
  std::unique_ptr<uint64_t[]> words = std::make_unique<uint64_t[]>(size_t(kPieces * kWords));
  uint64_t* piece(int64_t i) const { return words.get() + i * kWords; }
  static constexpr int64_t bytes() { return kPieces * kWords * 8; }
};

uint64_t sum_of(const uint64_t* words) {
  uint64_t sums[16] = {};
  for (int64_t i = 0; i < Pages::kWords; i += 16)
    for (int64_t j = 0; j < 16; ++j) sums[j] += words[i + j];
  uint64_t sum = 0;
  for (uint64_t part : sums) sum += part;
  return sum;
}

}  // namespace

double best_seconds(double at_least, const std::function<void()>& run) {
  double best = 1e30, spent = 0;
  for (int i = 0; i < 3 || spent < at_least; ++i) {
    auto start = Clock::now();
    run();
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (i > 0) best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

double matmul_rate(DType dtype, int64_t size, double seconds) {
  Runtime runtime({}, int64_t{1} << 30);
  Tensor a = zeros({size, size}, dtype), b = zeros({size, size}, dtype);
  return 2.0 * double(size) * double(size) * double(size) / best_seconds(seconds, [&] { matmul(a, b); });
}

double measured_matmul_rate(DType dtype) { return matmul_rate(dtype, 768, 0.05); }

double measured_copy_rate() {
  Pages from, to;
  double seconds = best_seconds(0.05, [&] {
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < Pages::kPieces; ++i) std::memcpy(to.piece(i), from.piece(i), size_t(Pages::kWords * 8));
  });
  return 2.0 * double(Pages::bytes()) / seconds;
}

double measured_read_rate() {
  Pages first, second;
  uint64_t sum = 0;
  double seconds = best_seconds(0.05, [&] {
#pragma omp parallel for schedule(static) reduction(+ : sum)
    for (int64_t i = 0; i < 2 * Pages::kPieces; ++i)
      sum += sum_of(i < Pages::kPieces ? first.piece(i) : second.piece(i - Pages::kPieces));
  });
  if (sum != 0) return 0;  // never: all words are zero; the sum is used, so that reading is not left out
  return 2.0 * double(Pages::bytes()) / seconds;
}

}  // namespace lathe
