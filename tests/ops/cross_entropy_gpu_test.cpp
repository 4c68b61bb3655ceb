#include <cmath>

#include "lathe/ops/cross_entropy.h"
#include "lathe/tensor/random.h"
#include "tests/support/gpu.h"

namespace lathe {
namespace {

using GpuCrossEntropy = GpuTest;

struct Case {
  int64_t rows, columns, vocabulary;
};

struct Result {
  std::vector<float> losses, logits;
};

Result run(Device device, const Case& c, DType dtype, CrossEntropyOptions options, bool differentiate) {
  Runtime runtime(device, int64_t{1} << 28);
  std::vector<float> logits(size_t(c.rows * c.columns)), weights;
  std::vector<int32_t> targets;
  Random random(3);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = 4 * random.normal(i);
  for (int64_t r = 0; r < c.rows; ++r) {
    weights.push_back(0.5f + float(r));
    targets.push_back(r % 4 == 2 ? -1 : int32_t((r * 7919 + c.vocabulary - 1) % c.vocabulary));
  }
  Tensor of = stored({c.rows, c.columns}, logits, dtype), losses = Tensor::empty({c.rows});
  options.vocabulary = c.vocabulary == c.columns ? 0 : c.vocabulary;
  cross_entropy(stored({c.rows}, targets, DType::i32), stored({c.rows}, weights, DType::f32), options, differentiate,
                of, losses);
  return {fetched(losses), fetched(of)};
}

void expect_near(const std::vector<float>& actual, const std::vector<float>& expected, double tolerance, double floor,
                 const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  double worst = 0;
  size_t where = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    double off = std::abs(double(actual[i]) - double(expected[i])) / (std::abs(double(expected[i])) + floor);
    if (!(off <= worst)) worst = off, where = i;
  }
  EXPECT_LE(worst, tolerance) << what << " at " << where << ": " << actual[where] << " for " << expected[where];
}

/// Rows that fit shared memory and rows that do not, of whole packs, with a rest, with padding, and unaligned ones.
TEST_F(GpuCrossEntropy, IsThatOfTheCpu) {
  for (Case c : {Case{5, 50, 50}, Case{7, 1003, 963}, Case{7, 1008, 1003}, Case{3, 8192, 8192}, Case{4, 50304, 50257},
                 Case{2, 50257, 50257}, Case{3, 128256, 128256}, Case{2, 151936, 151669}})
    for (DType dtype : {DType::f32, DType::bf16, DType::f16})
      for (CrossEntropyOptions options : {CrossEntropyOptions{}, CrossEntropyOptions{0.1f, 0.01f}}) {
        Result cpu = run({}, c, dtype, options, true), gpu = run(kGpu, c, dtype, options, true);
        std::string what = text(name_of(dtype), " [", c.rows, ", ", c.columns, "], ", c.vocabulary, " real");
        expect_near(gpu.losses, cpu.losses, 1e-5, 1e-3, what + ": losses");
        // A value between two of 8 (11) bits may round to either; below f16's normal numbers they are coarser.
        double near = dtype == DType::f32 ? 3e-5 : dtype == DType::bf16 ? 8e-3 : 1e-3;
        // Smoothing takes 0.1 / vocabulary from each probability: what nearly cancels is rounded as they were.
        double floor = dtype == DType::f16 ? 1e-4 : options.label_smoothing > 0 ? 1.0 / double(c.vocabulary) : 1e-7;
        expect_near(gpu.logits, cpu.logits, near, floor, what + ": gradient");
      }
}

TEST_F(GpuCrossEntropy, WithoutGradientLeavesTheLogits) {
  for (Case c : {Case{7, 1008, 1003}, Case{3, 128256, 128256}}) {
    Result scored = run(kGpu, c, DType::bf16, {0.1f, 0.01f}, false),
           cpu = run({}, c, DType::bf16, {0.1f, 0.01f}, false);
    EXPECT_EQ(scored.logits, cpu.logits);
    EXPECT_EQ(scored.losses, run(kGpu, c, DType::bf16, {0.1f, 0.01f}, true).losses);
    expect_near(scored.losses, cpu.losses, 1e-5, 1e-3, "losses");
  }
}

TEST_F(GpuCrossEntropy, GivesTheSameBitsEveryTime) {
  Case c{64, 50304, 50257};
  Result once = run(kGpu, c, DType::bf16, {0.1f, 0.01f}, true), again = run(kGpu, c, DType::bf16, {0.1f, 0.01f}, true);
  EXPECT_EQ(once.losses, again.losses);
  EXPECT_EQ(once.logits, again.logits);
}

TEST_F(GpuCrossEntropy, ShowsLogitsThatAreNotFinite) {
  for (float bad : {float(NAN), float(INFINITY)}) {
    Runtime runtime(kGpu, 1 << 20);
    Tensor logits = stored({1, 3}, std::vector<float>{1, bad, 2}, DType::f32), losses = Tensor::empty({1});
    Tensor one = stored({1}, std::vector<float>{1}, DType::f32);
    cross_entropy(stored({1}, std::vector<int32_t>{0}, DType::i32), one, {}, true, logits, losses);
    EXPECT_FALSE(std::isfinite(fetched(losses)[0]));
  }
}

}  // namespace
}  // namespace lathe
