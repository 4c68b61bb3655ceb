#include "lathe/ops/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/ops/elementwise.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

using Inputs = std::span<const Tensor>;

OpInput logits_input(Shape shape) {
  OpInput input{shape};
  input.low = -8;
  input.high = 8;
  return input;
}

TEST(TokenLogProbs, KeepThePromisesOfAnOp) {
  auto op = [](Inputs x) { return token_log_probs_of(x[0], x[1]); };
  check_op("token_log_probs", {logits_input({4, 50}), ids_input({3, -1, 49, 0})}, op);
  check_op("token_log_probs", {logits_input({3, 16389}), ids_input({16388, -1, 2})}, op, kParallel);
  check_op("token_log_probs taken over", {logits_input({4, 50}), ids_input({3, -1, 49, 0})},
           [](Inputs x) { return token_log_probs_of(scale(x[0], 1.5f), x[1]); });
  check_op("token_log_probs of a padded vocabulary", {logits_input({4, 56}), ids_input({3, -1, 49, 0})},
           [](Inputs x) { return token_log_probs_of(x[0], x[1], 50); });
}

struct Result {
  std::vector<float> losses, gradient;
};

Result run(Isa variant, DType dtype, const CrossEntropyOptions& options) {
  Isa before = isa();
  set_isa(variant);
  Runtime runtime({}, 1 << 24);
  std::vector<Tensor> inputs = make_inputs({logits_input({3, 1003}), ids_input({17, -1, 962})}, dtype);
  Tensor weights = tensor_of({3}, {0.5f, 1, 2}), losses = Tensor::empty({3});
  cross_entropy(inputs[1], weights, options, true, inputs[0], losses);
  set_isa(before);
  return {values_of(losses), values_of(inputs[0])};
}

TEST(CrossEntropy, IgnoresRowsWithoutATarget) {
  Result result = run(Isa::plain, DType::f32, {});
  EXPECT_EQ(result.losses[1], 0);
  for (size_t v = 1003; v < 2006; ++v) EXPECT_EQ(result.gradient[v], 0);
}

TEST(CrossEntropy, AgreesInEveryVariant) {
  for (CrossEntropyOptions options :
       {CrossEntropyOptions{}, CrossEntropyOptions{0.1f, 0.01f}, CrossEntropyOptions{0.1f, 0.01f, 963}})
    for (DType dtype : {DType::f32, DType::bf16}) {
      Result plain = run(Isa::plain, dtype, options);
      for (Isa variant : {Isa::avx2, Isa::avx512}) {
        if (!isa_available(variant)) continue;
        Result other = run(variant, dtype, options);
        for (size_t r = 0; r < 3; ++r) EXPECT_NEAR(other.losses[r], plain.losses[r], 1e-5f * plain.losses[r]);
        float near = dtype == DType::f32 ? 1e-5f : 1e-2f;
        for (size_t i = 0; i < plain.gradient.size(); ++i)
          ASSERT_NEAR(other.gradient[i], plain.gradient[i], near * (std::abs(plain.gradient[i]) + 1e-3f));
      }
    }
}

/// Three rows of 7 logits, and the same with columns of garbage after them.
TEST(CrossEntropy, TakesColumnsBeyondTheVocabularyForMinusInfinity) {
  Runtime runtime({}, 1 << 20);
  constexpr int64_t kReal = 7, kColumns = 12;
  Tensor targets = make_inputs({ids_input({6, -1, 0})}, DType::f32)[0], one = tensor_of({1}, {1});
  Isa before = isa();
  for (Isa variant : {Isa::plain, Isa::avx2, Isa::avx512}) {
    if (!isa_available(variant)) continue;
    set_isa(variant);
    Tensor exact = make_inputs({logits_input({3, kReal})}, DType::f32)[0], losses = Tensor::empty({3});
    Tensor padded = tensor_of({3, kColumns}, std::vector<float>(3 * kColumns, NAN)), padded_losses = Tensor::empty({3});
    for (int64_t r = 0; r < 3; ++r)
      std::copy_n(exact.data<float>() + r * kReal, kReal, padded.data<float>() + r * kColumns);
    CrossEntropyOptions options{.label_smoothing = 0.1f, .z_loss = 0.01f};
    cross_entropy(targets, one, options, true, exact, losses);
    options.vocabulary = kReal;
    cross_entropy(targets, one, options, true, padded, padded_losses);
    EXPECT_EQ(values_of(padded_losses), values_of(losses));
    for (int64_t r = 0; r < 3; ++r)
      for (int64_t c = 0; c < kColumns; ++c)
        EXPECT_EQ(padded.data<float>()[r * kColumns + c], c < kReal ? exact.data<float>()[r * kReal + c] : 0.0f);
  }
  set_isa(before);
}

/// The loss that the options describe, written out for one row of three logits.
TEST(CrossEntropy, SmoothsLabelsAndAddsTheZLoss) {
  Runtime runtime({}, 1 << 20);
  Tensor targets = make_inputs({ids_input({2})}, DType::f32)[0], losses = Tensor::empty({1}), one = tensor_of({1}, {1});
  auto loss = [&](float shift, Tensor* gradient) {
    Tensor logits = tensor_of({1, 3}, {1 + shift, -1, 0.5f});
    cross_entropy(targets, one, {.label_smoothing = 0.3f, .z_loss = 0.1f}, gradient != nullptr, logits, losses);
    if (gradient) *gradient = logits;
    return values_of(losses)[0];
  };
  double sum = std::exp(1.0) + std::exp(-1.0) + std::exp(0.5), log_sum = std::log(sum);
  EXPECT_NEAR(loss(0, nullptr), log_sum - 0.7 * 0.5 - 0.3 * 0.5 / 3 + 0.1 * log_sum * log_sum, 1e-6);
  Tensor gradient;
  loss(0, &gradient);
  EXPECT_NEAR(values_of(gradient)[0], (loss(0.01f, nullptr) - loss(-0.01f, nullptr)) / 0.02, 1e-4);
}

TEST(CrossEntropy, RejectsShapesThatDoNotFit) {
  Runtime runtime({}, 1 << 20);
  Tensor logits = Tensor::empty({4, 10}), losses = Tensor::empty({4}), one = Tensor::empty({1});
  Tensor targets = Tensor::empty({4}, DType::i32);
  EXPECT_THROW(cross_entropy(Tensor::empty({3}, DType::i32), one, {}, false, logits, losses), Error);
  EXPECT_THROW(cross_entropy(targets, Tensor::empty({3}), {}, false, logits, losses), Error);
  EXPECT_THROW(cross_entropy(targets, one, {}, false, logits, one), Error);
  EXPECT_THROW(cross_entropy(targets, one, {.vocabulary = 11}, false, logits, losses), Error);
  EXPECT_THROW(token_log_probs_of(logits, Tensor::empty({4})), Error);
}

}  // namespace
}  // namespace lathe
