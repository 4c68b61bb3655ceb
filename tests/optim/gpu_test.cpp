#include <cmath>
#include <cstring>

#include "lathe/optim/adamw_kernel.h"
#include "lathe/optim/gradient_squares.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"
#include "tests/support/gpu.h"

namespace lathe {
namespace {

using GpuAdamW = GpuTest;
using GpuGradientSquares = GpuTest;
using GpuUpdateState = GpuTest;

constexpr int64_t kMemory = int64_t{1} << 28;

Tensor scalar(float value) { return stored({1}, std::vector<float>{value}, DType::f32); }

Tensor drawn(uint64_t seed, int64_t count, float scale) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(scale * Random(seed).normal(uint64_t(i)));
  return stored({count}, values, DType::f32);
}

/// Sizes with and without a rest, of several chunks, and more of them than one launch takes.
std::vector<int64_t> many_sizes() {
  std::vector<int64_t> sizes = {1, 3, 4096, 40009, 16384, 70001};
  for (int64_t i = 0; i < 1100; ++i) sizes.push_back(5 + i % 40);
  return sizes;
}

/// The parts' weights, moments and values after three updates.
std::vector<std::vector<float>> updated(Device device, bool skewed) {
  Runtime runtime(device, kMemory);
  std::vector<AdamWPart> parts;
  std::vector<int64_t> sizes = many_sizes();
  for (size_t i = 0; i < sizes.size(); ++i) {
    Tensor kept = drawn(i, sizes[i], 0.1f), value = Tensor::empty({sizes[i]}, DType::bf16);
    if (skewed && sizes[i] > 1) kept = kept.rows(1, sizes[i] - 1), value = value.rows(1, sizes[i] - 1);
    Tensor first = zeros(kept.shape()), second = zeros(kept.shape());
    if (i % 3 == 0) value = Tensor();
    parts.push_back({Tensor(), kept, first, second, value, {.decay = i % 2 ? 0.1f : 0.0f}});
  }
  UpdateState state({.clip_norm = 0.5f});
  for (uint64_t step = 0; step < 3; ++step) {
    for (size_t i = 0; i < parts.size(); ++i)
      parts[i].gradient = drawn(10000 * (step + 1) + i, parts[i].kept.elements(), 0.5f);
    state.decide(scalar(1), scalar(100), scalar(0.01f));
    adamw_kernel({}, parts, state.values(), parts[0].kept);
    state.decide(scalar(NAN), scalar(100), scalar(0.01f));  // left out
    adamw_kernel({}, parts, state.values(), parts[0].kept);
  }
  std::vector<std::vector<float>> all;
  for (const AdamWPart& part : parts)
    for (const Tensor* tensor : {&part.kept, &part.first, &part.second, &part.value})
      if (*tensor) all.push_back(fetched(*tensor));
  return all;
}

TEST_F(GpuAdamW, MovesWeightsAsTheCpuDoes) {
  for (bool skewed : {false, true}) {
    std::vector<std::vector<float>> gpu = updated(kGpu, skewed), cpu = updated({}, skewed);
    ASSERT_EQ(gpu.size(), cpu.size());
    for (size_t t = 0; t < cpu.size(); ++t)
      for (size_t i = 0; i < cpu[t].size(); ++i)
        ASSERT_NEAR(gpu[t][i], cpu[t][i], 1e-6 + 4e-3 * std::abs(cpu[t][i])) << t << ' ' << i;  // bf16 values too
  }
}

TEST_F(GpuAdamW, MovesMasterWeightsToTheLastBitsAlike) {
  auto kept = [](Device device) {
    Runtime runtime(device, kMemory);
    Tensor weights = drawn(1, 100003, 0.1f), first = zeros(weights.shape()), second = zeros(weights.shape());
    AdamWPart part{drawn(2, 100003, 0.5f), weights, first, second, Tensor(), {.decay = 0.1f}};
    UpdateState state({});
    state.decide(scalar(1), scalar(100), scalar(0.01f));
    adamw_kernel({}, {&part, 1}, state.values(), weights);
    return fetched(weights);
  };
  std::vector<float> gpu = kept(kGpu), cpu = kept({});
  for (size_t i = 0; i < cpu.size(); ++i) ASSERT_NEAR(gpu[i], cpu[i], 1e-7) << i;
  EXPECT_EQ(gpu, kept(kGpu));
}

float squares(Device device, float bad) {
  Runtime runtime(device, kMemory);
  std::vector<Tensor> gradients;
  std::vector<int64_t> sizes = many_sizes();
  for (size_t i = 0; i < sizes.size(); ++i) gradients.push_back(drawn(i, sizes[i], 0.5f));
  gradients.push_back(drawn(9, 4001, 0.5f).rows(1, 4000));
  gradients.push_back(scalar(bad));
  Tensor out = zeros({1});
  gradient_squares(gradients, out);
  return fetched(out)[0];
}

TEST_F(GpuGradientSquares, AreThoseOfTheCpu) {
  EXPECT_NEAR(squares(kGpu, 1), squares({}, 1), 1e-5 * squares({}, 1));
  EXPECT_EQ(squares(kGpu, 1), squares(kGpu, 1));
}

TEST_F(GpuGradientSquares, ShowWhatIsNotFinite) {
  EXPECT_TRUE(std::isnan(squares(kGpu, NAN)));
  EXPECT_TRUE(std::isinf(squares(kGpu, -INFINITY)));
}

TEST_F(GpuGradientSquares, AreCountedAsOnAMetaDevice) {
  auto counted = [](Device device) {
    Runtime runtime(device, kMemory);
    std::vector<Tensor> gradients = {zeros({100000}), zeros({7})};
    Tensor out = zeros({1});
    runtime.arena.forget_peak();
    gradient_squares(gradients, out);
    return std::pair(runtime.totals, runtime.arena.use().peak);
  };
  EXPECT_EQ(counted(kGpu), counted(kGpu.as_meta()));
}

TEST_F(GpuUpdateState, DecidesAsTheCpuDoes) {
  auto decided = [](Device device) {
    Runtime runtime(device, 1 << 20);
    UpdateState state({.loss_spike = 2, .norm_spike = 5, .settling = 3, .not_finite_stops = true});
    std::vector<UpdateValues> all;
    for (auto [loss, squares] : std::vector<std::pair<float, float>>{
             {3, 1}, {2.9f, 0.3f}, {2.8f, 2}, {2.7f, 1}, {7, 1}, {2.6f, 90}, {2.5f, 1}, {3, INFINITY}, {3, 1}}) {
      state.decide(scalar(loss), scalar(squares), scalar(0.1f));
      all.push_back(*state.read());
    }
    return all;
  };
  std::vector<UpdateValues> gpu = decided(kGpu), cpu = decided({});
  for (size_t i = 0; i < cpu.size(); ++i) {
    EXPECT_EQ(gpu[i].verdict, cpu[i].verdict) << i;
    EXPECT_EQ(gpu[i].applied, cpu[i].applied) << i;
    EXPECT_EQ(gpu[i].updates, cpu[i].updates) << i;
    EXPECT_EQ(gpu[i].left_out, cpu[i].left_out) << i;
    EXPECT_FLOAT_EQ(gpu[i].clip, cpu[i].clip) << i;
    EXPECT_FLOAT_EQ(gpu[i].step_size, cpu[i].step_size) << i;
    EXPECT_FLOAT_EQ(gpu[i].second_scale, cpu[i].second_scale) << i;
    EXPECT_FLOAT_EQ(gpu[i].mean_loss, cpu[i].mean_loss) << i;
    EXPECT_FLOAT_EQ(gpu[i].mean_norm, cpu[i].mean_norm) << i;
  }
}

}  // namespace
}  // namespace lathe
