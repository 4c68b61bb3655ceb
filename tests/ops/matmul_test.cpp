#include "lathe/ops/matmul.h"

#include <gtest/gtest.h>

#include "lathe/base/error.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

struct Sink : GradientSink {
  explicit Sink(Shape shape) : total(zeros(shape)) {}
  std::optional<GradientSlot> slot() override { return GradientSlot{total, true}; }
  void receive(const Tensor& gradient) override { accumulate(gradient, total); }
  Tensor total;
};

Tensor noise(Shape shape, uint64_t seed) {
  Tensor tensor = Tensor::empty(shape);
  Random random(seed);
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = random.normal(uint64_t(i));
  return tensor;
}

TEST(Matmul, GivesEachOperandItsGradient) {
  Runtime runtime({}, 1 << 20);
  Tensor x = noise({2, 3, 5}, 1), weight = noise({7, 5}, 2), bias = noise({7}, 3), residual = noise({2, 3, 7}, 4);
  Sink dx(x.shape()), dweight(weight.shape()), dbias(bias.shape()), dresidual(residual.shape());
  x.make_leaf(&dx), weight.make_leaf(&dweight), bias.make_leaf(&dbias), residual.make_leaf(&dresidual);
  Tape tape;
  Tensor y;
  {
    Recording on(&tape);
    y = matmul(x, weight, {&bias, &residual});
  }
  Tensor dy = noise(y.shape(), 5);
  tape.backward(y, dy);
  float expected = 0;
  for (int64_t row = 0; row < 6; ++row) expected += dy.data<float>()[row * 7 + 2] * x.data<float>()[row * 5 + 3];
  EXPECT_NEAR(dweight.total.data<float>()[2 * 5 + 3], expected, 1e-5);
  expected = 0;
  for (int64_t out = 0; out < 7; ++out) expected += dy.data<float>()[4 * 7 + out] * weight.data<float>()[out * 5 + 1];
  EXPECT_NEAR(dx.total.data<float>()[4 * 5 + 1], expected, 1e-5);
  expected = 0;
  for (int64_t row = 0; row < 6; ++row) expected += dy.data<float>()[row * 7 + 6];
  EXPECT_NEAR(dbias.total.data<float>()[6], expected, 1e-5);
  EXPECT_EQ(dresidual.total.data<float>()[11], dy.data<float>()[11]);
}

TEST(Matmul, KeepsThePromisesOfAnOpWithAnActivation) {
  check_op("activated matmul", {{{9, 5}}, {{33, 5}}, f32_input({33})}, [](std::span<const Tensor> x) {
    return matmul(x[0], x[1], {.bias = &x[2], .activation = Activation::gelu});
  });
}

TEST(Matmul, NamesBothSidesOfAMisfit) {
  Runtime runtime({}, 1 << 20);
  try {
    matmul(zeros({2, 5}), zeros({7, 6}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("weight [7, 6] does not fit x [2, 5]"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lathe
