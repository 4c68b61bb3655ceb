#include "lathe/infer/decoder.h"

#include <gtest/gtest.h>

#include "lathe/models/family.h"
#include "lathe/nn/prepare.h"
#include "lathe/tensor/sum.h"
#include "tests/infer/infer_support.h"
#include "tests/support/error_of.h"

namespace lathe {
namespace {

using namespace test;

class EveryPlan : public testing::TestWithParam<std::pair<const char*, DType>> {};

TEST_P(EveryPlan, HoldsToTheByteInAnyStep) {
  auto [kind, dtype] = GetParam();
  ModelConfig config = tiny_config(kind);
  DecoderLimits limits{.sequences = 3, .length = 40, .step_tokens = 60};
  InferencePlan plan = plan_inference(config, dtype, limits);
  Runtime runtime({}, plan.capacity);
  std::unique_ptr<Model> model = make_model(config);
  prepare_for_use(*model, dtype, [](const Inventory& some) {
    for (Parameter* parameter : some.parameters) fill(parameter->kept, 0.1f);
  });
  Decoder decoder(*model, config, dtype, limits);
  EXPECT_EQ(runtime.arena.use().reserved, plan.persistent);
  EXPECT_EQ(runtime.arena.use().live_by_purpose, plan.by_purpose);
  runtime.arena.forget_peak();
  WorkTotals before = runtime.totals;
  replay(plan.step.placement, [&] { decoder.largest_step(); });
  EXPECT_EQ(runtime.arena.use().peak, plan.step.peak);
  EXPECT_EQ(runtime.arena.use().at_peak, plan.step.at_peak);
  EXPECT_EQ(runtime.totals.kernels - before.kernels, plan.step.work.kernels);
  EXPECT_EQ(runtime.totals.flops - before.flops, plan.step.work.flops);
  EXPECT_EQ(runtime.totals.bytes_moved - before.bytes_moved, plan.step.work.bytes_moved);

  std::vector<TokenId> tokens = random_tokens(40, 1);
  auto feed = [&](int64_t sequence, size_t count) { return Feed{sequence, std::span(tokens).first(count)}; };
  for (const std::vector<Feed>& feeds : {std::vector<Feed>{feed(1, 30), feed(0, 1), feed(2, 29)},
                                         {feed(0, 1), feed(2, 1), feed(1, 1)},
                                         {feed(0, 9)},
                                         {feed(0, 1), feed(2, 5)}})
    replay(plan.step.placement, [&] {
      decoder.step(feeds, [&](const Tensor& logits) {
        EXPECT_EQ(logits.shape(), (Shape{int64_t(feeds.size()), config.vocab_size}));
      });
    });
  EXPECT_EQ(runtime.arena.use().reserved, plan.capacity);
}

INSTANTIATE_TEST_SUITE_P(Decoder, EveryPlan,
                         testing::Values(std::pair{"gpt2", DType::f32}, std::pair{"gpt2", DType::bf16},
                                         std::pair{"llama", DType::f32}, std::pair{"llama_tied", DType::bf16}));

TEST(Decoder, TakesNoMoreThanOneFormOfItsWeights) {
  ModelConfig config = tiny_config("gpt2");
  config.vocab_size = 50000;
  Runtime runtime(Device{}.as_meta(), Runtime::kUnbounded);
  std::unique_ptr<Model> model = make_model(config);
  prepare_for_use(*model, DType::bf16, nullptr);
  int64_t weights = runtime.arena.use().live_by_purpose[size_t(Purpose::weights)];
  EXPECT_EQ(weights, runtime.arena.use().live);
  EXPECT_LE(weights, 2 * 48 * 50032 + 300'000);
  EXPECT_LE(runtime.arena.use().reserved, weights + (1 << 20) + 4096);
}

TEST(Decoder, GivesTheLogitsOfTheForwardPassAfterAnyChunks) {
  for (DType dtype : {DType::f32, DType::bf16}) {
    Runtime runtime({}, int64_t{64} << 20);
    TinyModel tiny("llama", dtype);
    Decoder decoder(*tiny.prepared, tiny.config, dtype, {.sequences = 1, .length = 64, .step_tokens = 64});
    std::vector<TokenId> tokens = random_tokens(50, 1);
    size_t at = 0;
    for (size_t count : {1, 20, 3, 8, 9, 1, 1, 7}) {
      uint32_t next = 0;
      Feed feed{0, std::span(tokens).subspan(at, count)};
      decoder.step({&feed, 1}, [&](const Tensor& logits) { next = likeliest_of(logits, 0); });
      at += count;
      EXPECT_EQ(next, likeliest(*tiny.whole, {tokens.begin(), tokens.begin() + int64_t(at)})) << at;
    }
  }
}

TEST(Decoder, RefusesWhatDoesNotFitWithTheTable) {
  DecoderLimits limits{.sequences = 4, .length = 64, .step_tokens = 64};
  InferencePlan plan = plan_inference(tiny_config("gpt2"), DType::bf16, limits);
  EXPECT_EQ(error_of([&] { require_fits(plan, limits, DType::bf16, plan.capacity); }), "");
  std::string message = error_of([&] { require_fits(plan, limits, DType::bf16, plan.capacity - 1); });
  for (const char* part : {"generating needs ", "try a --batch below 4", "weights", "kv_cache", "activations"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Decoder, RefusesTokensThatTheModelDoesNotKnow) {
  Runtime runtime({}, int64_t{64} << 20);
  TinyModel tiny("llama", DType::f32);
  Decoder decoder(*tiny.prepared, tiny.config, DType::f32, {.sequences = 1, .length = 64, .step_tokens = 64});
  for (TokenId token : {TokenId(tiny.config.vocab_size), TokenId(-1)}) {
    std::vector<TokenId> tokens = {1, token};
    Feed feed{0, tokens};
    EXPECT_EQ(error_of([&] {
                decoder.step({&feed, 1}, [](const Tensor&) {});
              }),
              text("token ", token, " is beyond the model's vocabulary of ", tiny.config.vocab_size));
  }
}

}  // namespace
}  // namespace lathe
