#include "lathe/nn/stored.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/nn/completion.h"
#include "lathe/ops/elementwise.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "tests/support/ranks.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

Tensor filled(Shape shape, float value) {
  Tensor tensor = Tensor::empty(shape);
  fill(tensor, value);
  return tensor;
}

Parameter matrix(int64_t rows, int64_t columns, Init init = Init::normal(1)) {
  return Parameter({rows, columns}, {whole_matrix("w", rows, columns)}, init);
}

TEST(Parameter, TakesNoBytesUntilItIsMaterialized) {
  Runtime runtime({}, 1 << 20);
  Parameter weight = matrix(4, 8);
  EXPECT_EQ(runtime.arena.use().live, 0);
  EXPECT_EQ(weight.value.shape(), (Shape{4, 8}));
  EXPECT_THROW(weight.value.data<float>(), InternalError);
}

TEST(Parameter, IsItsOwnMasterInF32) {
  Runtime runtime({}, 1 << 20);
  Parameter weight = matrix(8, 64);
  weight.materialize_trained(DType::f32);
  EXPECT_EQ(weight.value.shared_storage(), weight.kept.shared_storage());
  EXPECT_EQ(runtime.arena.use().live_by_purpose[size_t(Purpose::weights)], 2048);
  EXPECT_EQ(runtime.arena.use().live_by_purpose[size_t(Purpose::gradients)], 0);
}

TEST(Parameter, KeepsAMasterBesideABf16Value) {
  Runtime runtime({}, 1 << 20);
  Parameter weight = matrix(8, 64);
  weight.materialize_trained(DType::bf16);
  initialize(weight, Random(1));
  weight.refresh();
  EXPECT_EQ(runtime.arena.use().live_by_purpose[size_t(Purpose::weights)], 3072);
  for (int64_t i = 0; i < 512; ++i)
    EXPECT_EQ(weight.value.data<BF16>()[i].bits, BF16(weight.kept.data<float>()[i]).bits);
}

TEST(Parameter, StaysF32WhereItIsWide) {
  Runtime runtime({}, 1 << 20);
  Parameter bias({8}, {whole_vector("b", 8)}, Init::zeros(), true);
  bias.materialize_trained(DType::bf16);
  EXPECT_EQ(bias.value.dtype(), DType::f32);
}

TEST(Parameter, HasNoGradientWhereItIsFrozen) {
  for (DType compute : {DType::f32, DType::bf16}) {
    Runtime runtime({}, 1 << 20);
    Parameter weight = matrix(8, 64);
    weight.freeze();
    weight.materialize_trained(compute);
    EXPECT_FALSE(weight.trained());
    EXPECT_FALSE(bool(weight.gradient));
    EXPECT_EQ(runtime.arena.use().live_by_purpose[size_t(Purpose::gradients)], 0);
    weight.begin_step();
    weight.complete();
    weight.finish_step();
  }
}

TEST(Parameter, AddsTheGradientsOfAStepAndBeginsTheNextAnew) {
  Runtime runtime({}, 1 << 20);
  Parameter weight = matrix(2, 2);
  weight.materialize_trained(DType::f32);
  for (int step = 0; step < 2; ++step) {
    weight.begin_step(2);
    weight.receive(filled({2, 2}, 1));
    weight.complete();
    weight.receive(filled({2, 2}, 2));
    weight.complete();
    EXPECT_EQ(values_of(weight.gradient), (std::vector<float>(4, 3)));
    weight.end_step();
  }
}

TEST(Parameter, HasAnF32GradientFromItsFirstPartToTheEndOfTheStep) {
  Runtime runtime({}, 1 << 20);
  Parameter weight = matrix(8, 64);
  weight.materialize_trained(DType::bf16);
  auto bytes = [&] { return runtime.arena.use().live_by_purpose[size_t(Purpose::gradients)]; };
  weight.begin_step();
  EXPECT_EQ(bytes(), 0);
  weight.receive(filled({8, 64}, 1));
  EXPECT_EQ(weight.gradient.dtype(), DType::f32);
  EXPECT_EQ(bytes(), 2048);
  weight.end_step();
  EXPECT_EQ(bytes(), 0);
}

TEST(Parameter, HasZeroGradientWhereNothingReachedIt) {
  Runtime runtime({}, 1 << 20);
  Parameter weight = matrix(2, 2);
  weight.materialize_trained(DType::f32);
  weight.begin_step();
  weight.finish_step();
  EXPECT_EQ(values_of(weight.gradient), (std::vector<float>(4, 0)));
}

TEST(Parameter, HasZeroGradientWhereNothingReachedItsShards) {
  on_ranks(2, [](Communicator& ranks) {
    Parameter weight = matrix(4, 2);
    weight.shard = &ranks;
    weight.kept = Tensor::declare({2, 2});
    weight.materialize_trained(DType::f32);
    weight.begin_step();
    weight.complete();
    EXPECT_EQ(values_of(weight.gradient), (std::vector<float>(4, 0)));
  });
}

TEST(Parameter, IsSummedOverRanksOnceAStepAfterItsLastUser) {
  on_ranks(3, [](Communicator& ranks) {
    Parameter weight = matrix(2, 2);
    weight.users = 2;
    weight.sum_over = {&ranks};
    weight.materialize_trained(DType::f32);
    int64_t before = Runtime::current().totals.bytes_communicated;
    weight.begin_step(2);
    for (int completion = 0; completion < 4; ++completion) {
      EXPECT_EQ(Runtime::current().totals.bytes_communicated, before);
      weight.receive(filled({2, 2}, float(ranks.rank() + 1)));
      weight.complete();
    }
    weight.finish_step();
    EXPECT_EQ(values_of(weight.gradient), (std::vector<float>(4, 24)));
    EXPECT_EQ(Runtime::current().totals.bytes_communicated - before, 2 * 16 * 2 / 3);
  });
}

TEST(Parameter, IsFinishedAtTheLatestWhenTheStepIs) {
  on_ranks(2, [](Communicator& ranks) {
    Parameter weight = matrix(2, 2);
    weight.sum_over = {&ranks};
    weight.materialize_trained(DType::f32);
    weight.begin_step(2);
    weight.receive(filled({2, 2}, 1));
    weight.complete();  // its block takes no part in the second micro-batch
    weight.finish_step();
    EXPECT_EQ(values_of(weight.gradient), (std::vector<float>(4, 2)));
  });
}

TEST(Initialize, DependsOnNameAndPlaceAlone) {
  Runtime runtime({}, 1 << 20);
  Parameter whole = matrix(6, 4), part({2, 2}, {{"w", 6, 4, 3, 2, 1, 2}}, Init::normal(1)), other = matrix(6, 4);
  other.slices[0].name = "v";
  for (Parameter* parameter : {&whole, &part, &other}) {
    parameter->materialize(DType::f32);
    initialize(*parameter, Random(5));
  }
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 2; ++j)
      EXPECT_EQ(part.kept.data<float>()[i * 2 + j], whole.kept.data<float>()[(3 + i) * 4 + 1 + j]);
  EXPECT_NE(values_of(other.kept), values_of(whole.kept));
}

TEST(Initialize, FillsZerosAndOnes) {
  Runtime runtime({}, 1 << 20);
  Parameter zeros_of({3}, {whole_vector("z", 3)}, Init::zeros(), true);
  Parameter ones_of({3}, {whole_vector("o", 3)}, Init::ones(), true);
  for (Parameter* parameter : {&zeros_of, &ones_of}) {
    parameter->materialize(DType::f32);
    initialize(*parameter, Random(5));
  }
  EXPECT_EQ(values_of(zeros_of.kept), (std::vector<float>(3, 0)));
  EXPECT_EQ(values_of(ones_of.kept), (std::vector<float>(3, 1)));
}

TEST(CompleteGradients, CountsTheUsersOfEachParameter) {
  ModelConfig config;
  config.vocab_size = 8;
  config.hidden_size = 8;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  for (bool tied : {false, true}) {
    Runtime runtime({}, 1 << 20);
    config.tie_word_embeddings = tied;
    auto model = make_model(config);
    complete_gradients(*model);
    for (Parameter* parameter : model->inventory().parameters)
      EXPECT_EQ(parameter->users, tied && parameter->name() == "model.embed_tokens.weight" ? 2 : 1)
          << parameter->name();
  }
}

}  // namespace
}  // namespace lathe
