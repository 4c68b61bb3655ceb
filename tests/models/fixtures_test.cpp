// Every family against what transformers makes of the same tiny model.
#include <gtest/gtest.h>

#include "lathe/base/threads.h"
#include "lathe/infer/decoder.h"
#include "tests/models/fixture_support.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

using test::Fixture;

class Fidelity : public testing::TestWithParam<std::string> {
 protected:
  Fidelity() { set_threads(1); }  // at this size, threads would wait for each other longer than they work
  Runtime runtime{{}, 1 << 23};
};
INSTANTIATE_TEST_SUITE_P(Kinds, Fidelity, testing::ValuesIn(test::fixture_kinds()),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(Fidelity, OfLogitsLossAndGradients) {
  test::Fidelity measured = test::measured_fidelity(Fixture(GetParam()));
  EXPECT_LE(measured.logits, 1e-5);
  EXPECT_LE(measured.gradients, 1e-4);
}

TEST_P(Fidelity, OfDecodingWithACache) {
  Fixture fixture(GetParam());
  if (fixture.greedy.empty())
    GTEST_SKIP() << "dynamic positions turn the keys of a growing text in several ways: no tokens are recorded";
  std::vector<float> last(fixture.logits.back().end() - fixture.config.vocab_size, fixture.logits.back().end());
  for (const std::vector<size_t>& chunks : {std::vector<size_t>{14}, {1, 1, 10, 2}}) {
    test::Written written = write_greedily(fixture, chunks);
    EXPECT_LE(test::difference(written.logits, last), 1e-5);
    EXPECT_EQ(written.tokens, fixture.greedy);
  }
}

TEST_P(Fidelity, OfBf16IsThatOfItsPrecision) {
  Fixture fixture(GetParam());
  auto model = trained_model(fixture, DType::bf16);
  const std::vector<int32_t>& tokens = fixture.sequences.back();
  WholePass pass(tokens, {0, int32_t(tokens.size())});
  EXPECT_LE(test::difference(values_of(model->forward(pass)), fixture.logits.back()), 0.06);
}

TEST_P(Fidelity, TakesTheBytesOfItsPlan) {
  Fixture fixture(GetParam());
  DecoderLimits limits{.sequences = 2, .length = 8, .step_tokens = 8};
  InferencePlan plan = plan_inference(fixture.config, DType::f32, limits);
  Runtime exact({}, plan.capacity);
  auto model = prepared_model(fixture);
  Decoder decoder(*model, fixture.config, DType::f32, limits);
  EXPECT_EQ(exact.arena.use().reserved, plan.persistent);
  replay(plan.step.placement, [&] { decoder.largest_step(); });
  EXPECT_EQ(exact.arena.use().reserved, plan.capacity);
}

}  // namespace
}  // namespace lathe
