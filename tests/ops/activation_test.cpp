#include "lathe/ops/activation.h"

#include <gtest/gtest.h>

#include "tests/ops/op_support.h"

namespace lathe {
namespace {

using Inputs = std::span<const Tensor>;
constexpr Activation kAll[] = {Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu, Activation::silu,
                               Activation::relu};

OpInput wide(Shape shape) {
  OpInput input{shape};
  input.low = -6;
  input.high = 6;
  return input;
}

TEST(Activate, KeepsThePromisesOfAnOp) {
  for (Activation activation : kAll) {
    auto op = [=](Inputs x) { return activate(x[0], activation); };
    check_op(text("activate ", int(activation)), {wide({5, 37})}, op);
  }
  check_op(
      "activate", {wide({301, 131})}, [](Inputs x) { return activate(x[0], Activation::gelu); }, kParallel);
}

TEST(GatedActivate, KeepsThePromisesOfAnOp) {
  for (Activation activation : kAll) {
    auto op = [=](Inputs x) { return gated_activate(x[0], activation); };
    check_op(text("gated_activate ", int(activation)), {wide({5, 38})}, op);
  }
  auto op = [](Inputs x) { return gated_activate(x[0], Activation::silu); };
  check_op("gated_activate", {wide({301, 262})}, op, kParallel);
}

/// Values of PyTorch 2.13's functions of the same names, at 1 and -2.
TEST(Activate, EqualsThePublishedFormulas) {
  Runtime runtime({}, 1 << 20);
  Tensor x = tensor_of({2}, {1, -2});
  auto expect = [&](Activation activation, float one, float minus_two) {
    std::vector<float> y = values_of(activate(x, activation));
    EXPECT_NEAR(y[0], one, 1e-6f);
    EXPECT_NEAR(y[1], minus_two, 1e-6f);
  };
  expect(Activation::gelu, 0.8413447f, -0.0455003f);
  expect(Activation::gelu_tanh, 0.8411920f, -0.0454023f);
  expect(Activation::quick_gelu, 0.8457958f, -0.0643414f);
  expect(Activation::silu, 0.7310586f, -0.2384058f);
  expect(Activation::relu, 1, 0);
}

TEST(Activate, StaysFiniteAtTheEnds) {
  for (Isa variant : {Isa::plain, Isa::avx2, Isa::avx512}) {
    if (!isa_available(variant)) continue;
    Isa before = isa();
    set_isa(variant);
    Runtime runtime({}, 1 << 20);
    for (Activation activation : kAll) {
      std::vector<float> y = values_of(activate(tensor_of({4}, {-1e30f, -200, 200, 1e30f}), activation));
      EXPECT_NEAR(y[0], 0, 1e-6f) << isa_name(variant) << ' ' << int(activation);
      EXPECT_NEAR(y[1], 0, 1e-6f) << isa_name(variant) << ' ' << int(activation);
      EXPECT_EQ(y[2], 200) << isa_name(variant) << ' ' << int(activation);
      EXPECT_EQ(y[3], 1e30f) << isa_name(variant) << ' ' << int(activation);
    }
    set_isa(before);
  }
}

TEST(Activate, OverwritesWhatIsMovedHereAndHeldByNoOneElse) {
  Runtime runtime({}, 1 << 20);
  Tensor x = tensor_of({2}, {1, -2});
  const float* bytes = x.data<float>();
  EXPECT_NE(activate(x, Activation::relu).data<float>(), bytes);
  EXPECT_EQ(values_of(x), (std::vector<float>{1, -2}));
  Tensor y = activate(std::move(x), Activation::relu);
  EXPECT_EQ(y.data<float>(), bytes);
  EXPECT_EQ(values_of(y), (std::vector<float>{1, 0}));
}

TEST(ActivationNamed, KnowsHuggingFaceNames) {
  EXPECT_EQ(activation_named("gelu_new"), Activation::gelu_tanh);
  EXPECT_EQ(activation_named("gelu_pytorch_tanh"), Activation::gelu_tanh);
  EXPECT_EQ(activation_named("silu"), Activation::silu);
  EXPECT_THROW(activation_named("mish"), Error);
}

TEST(GatedActivate, RejectsAnOddWidth) {
  Runtime runtime({}, 1 << 20);
  EXPECT_THROW(gated_activate(Tensor::empty({2, 7}), Activation::silu), Error);
}

}  // namespace
}  // namespace lathe
