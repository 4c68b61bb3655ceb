#include "lathe/train/ceiling.h"

#include <algorithm>
#include <chrono>

#include "lathe/ops/matmul.h"
#include "lathe/tensor/sum.h"

namespace lathe {

double measured_matmul_rate(DType dtype) {
  constexpr int64_t kSize = 768;
  using Clock = std::chrono::steady_clock;
  Runtime runtime({}, int64_t{64} << 20);
  Tensor a = zeros({kSize, kSize}, dtype), b = zeros({kSize, kSize}, dtype);
  double best = 0, spent = 0;
  for (int run = 0; run < 2 || spent < 0.03; ++run) {
    auto start = Clock::now();
    matmul(a, b);
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, 2.0 * kSize * kSize * kSize / seconds);
    spent += seconds;
  }
  return best;
}

}  // namespace lathe
