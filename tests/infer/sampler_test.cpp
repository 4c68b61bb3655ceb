#include "lathe/infer/sampler.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/infer/infer_support.h"
#include "tests/support/error_of.h"

namespace lathe {
namespace {

/// Logits of these probabilities.
std::vector<float> logits_of(std::initializer_list<double> probabilities) {
  std::vector<float> logits;
  for (double probability : probabilities) logits.push_back(float(std::log(probability)) + 3);
  return logits;
}

const std::vector<float> kLogits = logits_of({0.1, 0.4, 0.05, 0.3, 0.15});
const std::vector<uint32_t> kNothing;

/// Tokens and probabilities that `options` draw from, likeliest first.
std::string candidates(const SamplingOptions& options, std::span<const uint32_t> history = {},
                       const std::vector<float>& logits = kLogits) {
  Sampler sampler(options, 0);
  std::string listed;
  for (const Candidate& c : sampler.candidates(logits, history))
    listed += text(listed.empty() ? "" : " ", c.token, ":", std::round(1000 * double(c.probability)) / 1000);
  return listed;
}

TEST(Sampler, DrawsFromAllTokensByDefault) { EXPECT_EQ(candidates({}), "0:0.1 1:0.4 2:0.05 3:0.3 4:0.15"); }

TEST(Sampler, DividesLogitsByTheTemperature) {
  // squares of the probabilities, divided by their sum 0.285
  EXPECT_EQ(candidates({.temperature = 0.5}), "0:0.035 1:0.561 2:0.009 3:0.316 4:0.079");
}

TEST(Sampler, KeepsTheLikeliestTokens) {
  EXPECT_EQ(candidates({.top_k = 2}), "1:0.571 3:0.429");
  EXPECT_EQ(candidates({.top_k = 99}), "1:0.4 3:0.3 4:0.15 0:0.1 2:0.05");
}

TEST(Sampler, KeepsTheFewestTokensWithAShareOfTheProbability) {
  EXPECT_EQ(candidates({.top_p = 0.39}), "1:1");
  EXPECT_EQ(candidates({.top_p = 0.41}), "1:0.571 3:0.429");
  EXPECT_EQ(candidates({.top_p = 0.84}), "1:0.471 3:0.353 4:0.176");
  EXPECT_EQ(candidates({.top_p = 1e-9}), "1:1");
}

TEST(Sampler, KeepsTokensWithAShareOfTheLikeliestOnesProbability) {
  EXPECT_EQ(candidates({.min_p = 0.3}), "1:0.471 3:0.353 4:0.176");
  EXPECT_EQ(candidates({.min_p = 1}), "1:1");
}

TEST(Sampler, AppliesItsStepsInOrder) {
  // top-k leaves 4:3:1.5; a share of 0.8 of that are the first two
  EXPECT_EQ(candidates({.top_k = 3, .top_p = 0.8}), "1:0.571 3:0.429");
  EXPECT_EQ(candidates({.temperature = 0.5, .top_k = 3, .min_p = 0.2}), "1:0.64 3:0.36");
}

TEST(Sampler, MakesTokensThatOccurredUnlikelierOnce) {
  std::vector<float> logits = {2, -1, 1};
  std::vector<uint32_t> history = {0, 1, 0};
  // logits 1, -2, 1
  EXPECT_EQ(candidates({.repetition_penalty = 2}, history, logits), "0:0.488 1:0.024 2:0.488");
}

TEST(Sampler, TakesTheFirstOfTheLikeliestTokensAtTemperatureZero) {
  Sampler sampler({.temperature = 0}, 0);
  EXPECT_EQ(sampler.choose(std::vector<float>{1, 5, 3, 5}, kNothing), 1u);
  Sampler penalized({.repetition_penalty = 3, .temperature = 0}, 0);
  EXPECT_EQ(penalized.choose(std::vector<float>{1, 5, 3, 4}, std::vector<uint32_t>{1}), 3u);
}

TEST(Sampler, DrawsAsOftenAsTheProbabilitiesSay) {
  constexpr int kDraws = 20000;
  for (const SamplingOptions& options : {SamplingOptions{}, SamplingOptions{.top_p = 0.84}}) {
    std::vector<int> counts(5, 0);
    for (uint64_t stream = 0; stream < kDraws; ++stream) ++counts[Sampler(options, stream).choose(kLogits, kNothing)];
    Sampler sampler(options, 0);
    for (const Candidate& c : sampler.candidates(kLogits, kNothing))
      EXPECT_NEAR(counts[c.token], kDraws * double(c.probability), 250);  // 3.5 deviations
  }
}

TEST(Sampler, DrawsBySeedStreamAndPositionAlone) {
  auto draws = [](uint64_t seed, uint64_t stream) {
    Sampler sampler({.seed = seed}, stream);
    std::vector<uint32_t> history;
    for (int i = 0; i < 40; ++i) history.push_back(sampler.choose(kLogits, history));
    return history;
  };
  EXPECT_EQ(draws(1, 2), draws(1, 2));
  EXPECT_NE(draws(1, 2), draws(1, 3));
  EXPECT_NE(draws(1, 2), draws(2, 2));
  std::vector<uint32_t> all = draws(1, 2), some(all.begin(), all.begin() + 20);
  EXPECT_EQ(Sampler({.seed = 1}, 2).choose(kLogits, some), all[20]);
}

TEST(Sampler, RefusesOptionsOutOfRangeAndLogitsThatAreNoNumbers) {
  EXPECT_EQ(error_of([] { Sampler({.temperature = -1}, 0); }), "temperature -1 must not be negative");
  EXPECT_EQ(error_of([] { Sampler({.top_p = 0}, 0); }), "top-p 0 must be above 0 and at most 1");
  EXPECT_EQ(error_of([] { Sampler({.min_p = 2}, 0); }), "min-p 2 must be from 0 to 1");
  EXPECT_EQ(error_of([] { Sampler({.top_k = -1}, 0); }), "top-k -1 must not be negative; 0 keeps all tokens");
  EXPECT_EQ(error_of([] { Sampler({.repetition_penalty = 0}, 0); }),
            "repetition penalty 0 must be above 0; 1 changes nothing");
  for (float bad : {NAN, INFINITY})
    EXPECT_NE(error_of([&] { Sampler({}, 0).choose(std::vector<float>{1, bad}, kNothing); }), "");
}

TEST(Sampler, TakesTheLikeliestTokenAtTemperaturesNearZero) {
  for (double temperature : {1e-6, 1e-40, 5e-324})
    EXPECT_EQ(candidates({.temperature = temperature, .top_p = 0.9}), "1:1");
}

}  // namespace
}  // namespace lathe
