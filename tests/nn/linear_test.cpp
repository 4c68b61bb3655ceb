#include "lathe/nn/linear.h"

#include <gtest/gtest.h>

#include "lathe/ops/elementwise.h"
#include "lathe/ops/rms_norm.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

constexpr int64_t kIn = 6, kRows = 5;

LinearOptions options(bool bias) {
  return {.in = kIn, .sections = {{"q", 8, 4}, {"k", 4, 4}, {"v", 4, 4}}, .bias = bias, .init = Init::normal(0.5f)};
}

Tensor input() {
  Tensor x = Tensor::empty({kRows, kIn});
  for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] = Random(9).normal(uint64_t(i));
  return x;
}

void make_ready(Linear& linear) {
  Inventory inventory;
  linear.list(inventory);
  make_ready(inventory);
  for (Parameter* parameter : inventory.parameters)
    if (parameter->slices[0].vector)
      for (int64_t i = 0; i < parameter->kept.elements(); ++i) parameter->kept.data<float>()[i] = 0.1f * float(i);
}

struct AddOne : Adapter {
  explicit AddOne(std::vector<std::string>& calls, std::string called) : log(calls), name(std::move(called)) {}
  Tensor apply(const Tensor&, Tensor y, int64_t first, Pass&) const override {
    log.push_back(text(name, "@", first));
    Tensor ones = Tensor::empty({y.shape()[0], 4});
    fill(ones, 1);
    return add_columns(std::move(y), ones, first);
  }
  void list(Inventory&) override {}
  std::vector<std::string>& log;
  std::string name;
};

WholePass any_pass() { return WholePass({0}, {0, 1}); }

TEST(Linear, HasANamedSliceForEachSection) {
  Runtime runtime({}, 1 << 20);
  Linear linear(options(true));
  Inventory inventory;
  linear.list(inventory);
  ASSERT_EQ(inventory.parameters.size(), 2u);
  std::vector<std::string> names;
  for (const Parameter* parameter : inventory.parameters)
    for (const Slice& slice : parameter->slices) names.push_back(text(slice.name, " ", slice.rows, "x", slice.columns));
  EXPECT_EQ(names, (std::vector<std::string>{"q.weight 8x6", "k.weight 4x6", "v.weight 4x6", "q.bias 8x1", "k.bias 4x1",
                                             "v.bias 4x1"}));
  EXPECT_EQ(linear.first_of(2), 12);
  EXPECT_EQ(linear.out(), 16);
}

TEST(Linear, MakesOneSliceOfEquallyNamedSections) {
  Runtime runtime({}, 1 << 20);
  Linear linear({.in = kIn, .sections = {{"c_attn", 4}, {"c_attn", 4}, {"c_attn", 4}}});
  Inventory inventory;
  linear.list(inventory);
  ASSERT_EQ(inventory.parameters[0]->slices.size(), 1u);
  EXPECT_EQ(inventory.parameters[0]->slices[0].whole_rows, 12);
}

TEST(Linear, AddsBiasAndResidual) {
  Runtime runtime({}, 1 << 20);
  Linear without(options(false)), with(options(true));
  make_ready(without);
  make_ready(with);
  WholePass pass = any_pass();
  Tensor x = input(), residual = zeros({kRows, 16});
  fill(residual, 100);
  std::vector<float> plain = values_of(without(x, pass)), full = values_of(with(x, pass, &residual));
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(full[i], plain[i] + 0.1f * float(i % 16) + 100, 2e-5);
}

TEST(Linear, ActivatesBehindBiasAndAdapters) {
  Runtime runtime({}, 1 << 20);
  Linear linear(options(true));
  make_ready(linear);
  WholePass pass = any_pass();
  std::vector<std::string> calls;
  for (int adapters = 0; adapters < 2; ++adapters) {
    std::vector<float> expected = values_of(activate(linear(input(), pass), Activation::gelu));
    EXPECT_EQ(values_of(linear.activated(input(), pass, Activation::gelu)), expected);
    linear.inner.push_back({1, std::make_unique<AddOne>(calls, "inner")});
  }
}

/// With and without residual and adapters.
TEST(Linear, TakesTheNormOfItsInputFirst) {
  Runtime runtime({}, 1 << 20);
  Linear linear(options(true));
  make_ready(linear);
  WholePass pass = any_pass();
  Tensor weight = Tensor::empty({kIn}), residual = zeros({kRows, 16});
  for (int64_t i = 0; i < kIn; ++i) weight.data<float>()[i] = 1 + 0.5f * float(i);
  fill(residual, 100);
  LinearInput normed(input(), InputNorm{weight, 1e-5f, 1});
  Tensor rows = rms_norm(input(), weight, 1e-5f, 1);
  std::vector<std::string> calls;
  for (int adapters = 0; adapters < 2; ++adapters) {
    EXPECT_EQ(values_of(linear(normed, pass)), values_of(linear(rows, pass)));
    EXPECT_EQ(values_of(linear(normed, pass, &residual)), values_of(linear(rows, pass, &residual)));
    EXPECT_EQ(values_of(linear.activated(normed, pass, Activation::gelu)),
              values_of(activate(linear(rows, pass), Activation::gelu)));
    EXPECT_EQ(values_of(linear.gated(normed, pass, Activation::silu)),
              values_of(gated_activate(linear(rows, pass), Activation::silu)));
    linear.inner.push_back({1, std::make_unique<AddOne>(calls, "inner")});
  }
}

TEST(Linear, PassesGradientsThroughTheNormOfItsInput) {
  Runtime runtime({}, 1 << 20);
  Linear linear(options(true));
  make_ready(linear);
  WholePass pass = any_pass();
  std::vector<std::vector<float>> gradients;
  for (bool apart : {false, true}) {
    Parameter norm({kIn}, {whole_vector("norm", kIn)}, Init::ones(), true);
    norm.materialize_trained(DType::f32);
    initialize(norm, Random(2));
    LinearInput normed(input(), InputNorm{norm.value, 1e-5f, 0});
    Tape tape;
    Tensor y, dy = Tensor::empty({kRows, 8});
    fill(dy, 1);
    {
      Recording recording(&tape);
      y = linear.gated(apart ? LinearInput(normed.rows()) : normed, pass, Activation::silu);
    }
    tape.backward(y, dy);
    gradients.push_back(values_of(norm.gradient));
  }
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_NE(gradients[0], std::vector<float>(size_t(kIn)));
}

TEST(Linear, AppliesAdaptersToTheirSections) {
  Runtime runtime({}, 1 << 20);
  Linear linear(options(true));
  make_ready(linear);
  WholePass pass = any_pass();
  Tensor x = input(), residual = zeros({kRows, 16});
  std::vector<float> plain = values_of(linear(x, pass, &residual));
  std::vector<std::string> calls;
  linear.outer.push_back({2, std::make_unique<AddOne>(calls, "outer")});
  linear.inner.push_back({1, std::make_unique<AddOne>(calls, "inner")});
  std::vector<float> adapted = values_of(linear(x, pass, &residual));
  EXPECT_EQ(calls, (std::vector<std::string>{"inner@8", "outer@12"}));
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(adapted[i], plain[i] + (i % 16 >= 8 ? 1.0f : 0.0f), 1e-5);
}

TEST(Linear, GivesItsInputTheSameGradientWhenItIsFrozen) {
  Runtime runtime({}, 1 << 20);
  std::vector<std::vector<float>> dx;
  for (bool frozen : {false, true}) {
    Linear linear(options(true));
    Inventory inventory;
    linear.list(inventory);
    if (frozen)
      for (Parameter* parameter : inventory.parameters) parameter->freeze();
    make_ready(linear);
    WholePass pass = any_pass();
    Parameter leaf({kRows, kIn}, {whole_matrix("x", kRows, kIn)}, Init::normal(1));
    leaf.materialize_trained(DType::f32);
    initialize(leaf, Random(2));
    Tape tape;
    Tensor y, dy = Tensor::empty({kRows, 16});
    fill(dy, 1);
    {
      Recording recording(&tape);
      y = linear(leaf.value, pass);
    }
    tape.backward(y, dy);
    dx.push_back(values_of(leaf.gradient));
  }
  EXPECT_EQ(dx[0], dx[1]);
  EXPECT_NE(dx[0], std::vector<float>(size_t(kRows * kIn)));
}

TEST(Linear, KeepsNothingForBackwardWhereAllIsFrozen) {
  Runtime runtime({}, 1 << 20);
  Linear linear(options(true));
  Inventory inventory;
  linear.list(inventory);
  for (Parameter* parameter : inventory.parameters) parameter->freeze();
  make_ready(linear);
  WholePass pass = any_pass();
  Tape tape;
  Recording recording(&tape);
  Tensor y = linear(input(), pass);
  EXPECT_TRUE(tape.empty());
  EXPECT_FALSE(y.needs_gradient());
}

}  // namespace
}  // namespace lathe
