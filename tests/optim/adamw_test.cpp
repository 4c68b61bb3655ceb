#include "lathe/optim/adamw.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/base/isa.h"
#include "lathe/base/threads.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

constexpr int64_t kCount = 40009;  // no multiple of a vector or chunk

Tensor filled(uint64_t seed, float scale) {
  Tensor tensor = Tensor::empty({kCount});
  for (int64_t i = 0; i < kCount; ++i) tensor.data<float>()[i] = scale * Random(seed).normal(uint64_t(i));
  return tensor;
}

Tensor scalar(float value) {
  Tensor tensor = Tensor::empty({1});
  fill(tensor, value);
  return tensor;
}

/// Weights, moments and the bf16 copy after three updates.
struct Trained {
  Tensor kept = filled(1, 0.1f), first = zeros({kCount}), second = zeros({kCount});
  Tensor value = Tensor::empty({kCount}, DType::bf16);

  Trained(const AdamWRule& rule, float clip_norm) {
    UpdateState state({.beta1 = rule.beta1, .beta2 = rule.beta2, .clip_norm = clip_norm});
    for (uint64_t step = 0; step < 3; ++step) {
      state.decide(scalar(1), scalar(100), scalar(0.01f));  // norm 10
      const AdamWPart part{filled(step + 2, 0.5f), kept, first, second, value, rule};
      adamw_kernel({}, {&part, 1}, state.values(), kept);
    }
  }
};

/// The paper's algorithm in f64.
std::vector<double> reference(const AdamWRule& rule, double clip) {
  std::vector<double> weights(kCount);
  Tensor start = filled(1, 0.1f);
  std::vector<Tensor> gradients = {filled(2, 0.5f), filled(3, 0.5f), filled(4, 0.5f)};
  for (int64_t i = 0; i < kCount; ++i) {
    double w = start.data<float>()[i], m = 0, v = 0;
    for (int t = 1; t <= 3; ++t) {
      double g = gradients[size_t(t - 1)].data<float>()[i] * clip;
      m = rule.beta1 * m + (1 - double(rule.beta1)) * g;
      v = rule.beta2 * v + (1 - double(rule.beta2)) * g * g;
      double corrected_m = m / (1 - std::pow(double(rule.beta1), t)),
             corrected_v = v / (1 - std::pow(double(rule.beta2), t));
      w -= 0.01 * (corrected_m / (std::sqrt(corrected_v) + rule.epsilon) + rule.decay * w);
    }
    weights[size_t(i)] = w;
  }
  return weights;
}

TEST(AdamW, FollowsThePaperInF64OnEveryInstructionSet) {
  Runtime runtime({}, 64 << 20);
  AdamWRule rule{0.9f, 0.95f, 1e-8f, 0.1f};
  std::vector<double> expected = reference(rule, 0.05);
  Isa before = isa();
  for (Isa level : {Isa::plain, Isa::avx2, Isa::avx512}) {
    if (!isa_available(level)) continue;
    set_isa(level);
    Trained trained(rule, 0.5f);
    for (int64_t i = 0; i < kCount; ++i) {
      float kept = trained.kept.data<float>()[i];
      ASSERT_NEAR(kept, expected[size_t(i)], 1e-6) << isa_name(level) << " at " << i;
      ASSERT_EQ(trained.value.data<BF16>()[i].bits, BF16(kept).bits);
    }
  }
  set_isa(before);
}

TEST(AdamW, GivesTheSameBitsWithAnyNumberOfThreads) {
  Runtime runtime({}, 64 << 20);
  std::vector<std::vector<float>> results;
  int before = threads();
  for (int count : {1, 2, 7}) {
    set_threads(count);
    Trained trained({}, 0.5f);
    results.emplace_back(trained.kept.data<float>(), trained.kept.data<float>() + kCount);
  }
  set_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(UpdateState, LeavesOutWhatIsNotFiniteOrSpikes) {
  Runtime runtime({}, 1 << 20);
  UpdateState state({.loss_spike = 2, .norm_spike = 5, .settling = 3});
  for (int i = 0; i < 4; ++i) state.decide(scalar(3), scalar(1), scalar(0.1f));
  EXPECT_EQ(state.read()->verdict, Verdict::applied);
  state.decide(scalar(NAN), scalar(1), scalar(0.1f));
  EXPECT_EQ(state.read()->verdict, Verdict::not_finite);
  state.decide(scalar(3), scalar(INFINITY), scalar(0.1f));
  EXPECT_EQ(state.read()->verdict, Verdict::not_finite);
  state.decide(scalar(7), scalar(1), scalar(0.1f));
  EXPECT_EQ(state.read()->verdict, Verdict::loss_spike);
  state.decide(scalar(3), scalar(36), scalar(0.1f));
  EXPECT_EQ(state.read()->verdict, Verdict::norm_spike);
  EXPECT_EQ(state.read()->updates, 4);
  EXPECT_EQ(state.read()->left_out, 4);
}

/// Steps that were under way when the trouble was seen must not touch the weights that are saved.
TEST(UpdateState, LeavesEverythingOutAfterAnUpdateThatStopsTheRun) {
  Runtime runtime({}, 1 << 20);
  UpdateState state({.loss_spike = 2, .settling = 1, .not_finite_stops = true});
  state.decide(scalar(3), scalar(1), scalar(0.1f));
  state.decide(scalar(7), scalar(1), scalar(0.1f));  // a spike, which does not stop it
  state.decide(scalar(3), scalar(4), scalar(0.1f));
  EXPECT_EQ(state.read()->applied, 1);
  state.decide(scalar(NAN), scalar(1), scalar(0.1f));
  for (int late = 0; late < 2; ++late) {
    state.decide(scalar(3), scalar(1), scalar(0.1f));
    EXPECT_EQ(state.read()->applied, 0);
    EXPECT_EQ(state.read()->verdict, Verdict::not_finite);
    EXPECT_TRUE(std::isnan(state.read()->loss));
    EXPECT_EQ(state.read()->updates, 2);
    EXPECT_EQ(state.read()->left_out, 2);
  }
}

TEST(UpdateState, GoesOnAfterARestoreWhereAnotherRunWasStopped) {
  Runtime runtime({}, 1 << 20);
  UpdateState stopped({.not_finite_stops = true}), state({.not_finite_stops = true});
  stopped.decide(scalar(3), scalar(1), scalar(0.1f));
  stopped.decide(scalar(3), scalar(INFINITY), scalar(0.1f));
  state.restore(*stopped.read());
  state.decide(scalar(3), scalar(1), scalar(0.1f));
  EXPECT_EQ(state.read()->applied, 1);
  EXPECT_EQ(state.read()->updates, 2);
}

TEST(UpdateState, ClipsToTheNormAskedFor) {
  Runtime runtime({}, 1 << 20);
  UpdateState state({.clip_norm = 2});
  state.decide(scalar(3), scalar(64), scalar(0.1f));
  EXPECT_NEAR(state.read()->clip, 0.25, 1e-6);
  state.decide(scalar(3), scalar(1), scalar(0.1f));
  EXPECT_EQ(state.read()->clip, 1);
}

TEST(UpdateState, ReadsNothingOnMeta) {
  Runtime runtime(Device{}.as_meta(), 1 << 20);
  UpdateState state({});
  state.decide(scalar(3), scalar(1), scalar(0.1f));
  EXPECT_FALSE(state.read().has_value());
}

}  // namespace
}  // namespace lathe
