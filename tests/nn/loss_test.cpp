#include "lathe/nn/loss.h"

#include <gtest/gtest.h>

#include "lathe/ops/cross_entropy.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/matmul.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "tests/support/run_counts.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

constexpr int64_t kRows = 11, kHidden = 8, kVocabulary = 13;

/// Hidden rows and a head, both trained.
struct Case {
  Case()
      : hidden({kRows, kHidden}, {whole_matrix("hidden", kRows, kHidden)}, Init::normal(1)),
        head({kVocabulary, kHidden}, {whole_matrix("head", kVocabulary, kHidden)}, Init::normal(1)),
        scale(zeros({1})),
        one(zeros({1})) {
    inventory.add(hidden);
    inventory.add(head);
    make_ready(inventory);
    for (Parameter* parameter : inventory.parameters) parameter->begin_step();
    std::vector<int32_t> ids = random_tokens(kRows, kVocabulary, 4);
    ids[3] = ids[10] = -1;
    targets = tensor_of(ids);
    fill(scale, 0.25f);
    fill(one, 1);
  }
  Project project() {
    return [this](const Tensor& rows) { return matmul(rows, head.value); };
  }
  NamedTensors gradients() {
    NamedTensors named;
    put_gradients(inventory, named);
    return named;
  }

  Parameter hidden, head;
  Inventory inventory;
  Tensor targets, scale, one;
};

/// The loss, after its backward, in chunks.
Tensor chunked(Case& c, int64_t rows) {
  Tape tape;
  Tensor loss;
  {
    Recording recording(&tape);
    loss = chunked_cross_entropy(c.hidden.value, c.project(), c.targets, c.scale, rows);
  }
  tape.backward(loss, c.one);
  return loss;
}

TEST(ChunkedCrossEntropy, EqualsMinusTheSumOfLogProbabilities) {
  Runtime runtime({}, 1 << 20);
  Case whole;
  Tape tape;
  Tensor loss;
  {
    Recording recording(&tape);
    Tensor log_probs = token_log_probs_of(whole.project()(whole.hidden.value), whole.targets);
    loss = scale(sum_all(log_probs), -0.25f);
  }
  tape.backward(loss, whole.one);
  for (int64_t rows : {1, 3, 4, 11, 100}) {
    Case parts;
    Tensor in_chunks = chunked(parts, rows);
    EXPECT_NEAR(in_chunks.data<float>()[0], loss.data<float>()[0], 1e-5 * loss.data<float>()[0]);
    expect_near(parts.gradients(), whole.gradients(), 1e-5);  // sums over rows in another order
  }
}

/// A head of which the last three columns are padding.
TEST(ChunkedCrossEntropy, LeavesColumnsBeyondTheVocabularyOut) {
  Runtime runtime({}, 1 << 20);
  Case c;
  constexpr int64_t kReal = kVocabulary - 3;
  for (int64_t i = 0; i < kRows; ++i)
    if (c.targets.data<int32_t>()[i] >= kReal) c.targets.data<int32_t>()[i] = 0;
  Project head = c.project(), first = [&](const Tensor&rows) { return matmul(rows, c.head.value.rows(0, kReal)); };
  Tensor padded = chunked_cross_entropy(c.hidden.value, head, c.targets, c.scale, 4, kReal);
  Tensor exact = chunked_cross_entropy(c.hidden.value, first, c.targets, c.scale, 4);
  EXPECT_NEAR(padded.data<float>()[0], exact.data<float>()[0], 1e-5 * exact.data<float>()[0]);
  Tensor log_probs = token_log_probs(c.hidden.value, head, c.targets, 4, kReal);
  EXPECT_NEAR(-0.25f * values_of(sum_all(log_probs))[0], exact.data<float>()[0], 1e-5 * exact.data<float>()[0]);
}

TEST(ChunkedCrossEntropy, GivesTheSameLossWithoutATape) {
  Runtime runtime({}, 1 << 20);
  Case c;
  Tensor alone = chunked_cross_entropy(c.hidden.value, c.project(), c.targets, c.scale, 4);
  EXPECT_EQ(values_of(alone), values_of(chunked(c, 4)));
}

TEST(ChunkedCrossEntropy, HoldsOneChunkOfLogitsAtATime) {
  int64_t all = expect_meta_equals_cpu([] {
                  Case c;
                  chunked(c, kRows);
                }).at_peak[size_t(Purpose::activations)];
  int64_t few = expect_meta_equals_cpu([] {
                  Case c;
                  chunked(c, 2);
                }).at_peak[size_t(Purpose::activations)];
  EXPECT_LT(few, all);
}

TEST(ChunkedCrossEntropy, RefusesTargetsOfAnotherLength) {
  Runtime runtime({}, 1 << 20);
  Case c;
  EXPECT_THROW(chunked_cross_entropy(c.hidden.value, c.project(), c.targets.rows(0, 3), c.scale, 4), Error);
}

TEST(TokenLogProbs, AreThoseOfWholeLogits) {
  Runtime runtime({}, 1 << 20);
  Case c;
  std::vector<float> whole = values_of(token_log_probs_of(c.project()(c.hidden.value), c.targets));
  for (int64_t rows : {1, 4, 50})
    EXPECT_EQ(values_of(token_log_probs(c.hidden.value, c.project(), c.targets, rows)), whole);
  EXPECT_EQ(whole[3], 0);
}

}  // namespace
}  // namespace lathe
