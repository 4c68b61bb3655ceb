#include <gtest/gtest.h>

#include "lathe/ops/layer_norm.h"
#include "lathe/ops/rms_norm.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

Tensor rms(std::span<const Tensor> x) { return rms_norm(x[0], x[1], 1e-5f); }
Tensor layer(std::span<const Tensor> x) { return layer_norm(x[0], x[1], x[2], 1e-5f); }
Tensor layer_without_bias(std::span<const Tensor> x) { return layer_norm(x[0], x[1], Tensor(), 1e-5f); }

TEST(RmsNorm, KeepsThePromisesOfAnOp) {
  for (int64_t columns : {7, 16, 37, 384}) check_op("rms_norm", {{{5, columns}}, f32_input({columns})}, rms);
}

TEST(RmsNorm, KeepsThemInParallel) { check_op("rms_norm", {{{300, 130}}, f32_input({130})}, rms, kParallel); }

TEST(RmsNorm, KeepsThemWithWeightsAroundZero) {
  auto op = [](std::span<const Tensor> x) { return rms_norm(x[0], x[1], 1e-5f, 1); };
  check_op("rms_norm", {{{5, 37}}, f32_input({37})}, op);
}

TEST(RmsNorm, DividesByTheRootMeanSquare) {
  Runtime runtime({}, 1 << 20);
  Tensor y = rms_norm(tensor_of({1, 2}, {3, 4}), tensor_of({2}, {1, 2}), 0);
  EXPECT_FLOAT_EQ(values_of(y)[0], 3 / 3.5355339f);
  EXPECT_FLOAT_EQ(values_of(y)[1], 8 / 3.5355339f);
}

TEST(RmsNorm, RejectsAWeightOfAnotherSizeOrType) {
  Runtime runtime({}, 1 << 20);
  Tensor x = Tensor::empty({2, 8});
  EXPECT_THROW(rms_norm(x, Tensor::empty({7}), 0), Error);
  EXPECT_THROW(rms_norm(x, Tensor::empty({8}, DType::bf16), 0), Error);
}

TEST(LayerNorm, KeepsThePromisesOfAnOp) {
  for (int64_t columns : {3, 16, 37, 384}) {
    std::vector<OpInput> inputs = {{{5, columns}}, f32_input({columns}), f32_input({columns})};
    check_op("layer_norm", inputs, layer);
    check_op("layer_norm without bias", {inputs[0], inputs[1]}, layer_without_bias);
  }
}

TEST(LayerNorm, KeepsThemInParallel) {
  check_op("layer_norm", {{{300, 130}}, f32_input({130}), f32_input({130})}, layer, kParallel);
}

TEST(LayerNorm, DifferentiatesABiasBesideAFrozenWeight) {
  OpInput frozen = f32_input({20});
  frozen.differentiable = false;
  check_op("layer_norm of a frozen weight", {{{5, 20}}, frozen, f32_input({20})}, layer);
}

TEST(LayerNorm, StaysExactFarFromZero) {
  Runtime runtime({}, 1 << 20);
  Tensor y = layer_norm(tensor_of({1, 4}, {10001, 10002, 10003, 10004}), tensor_of({4}, {1, 1, 1, 1}), Tensor(), 0);
  EXPECT_NEAR(values_of(y)[0], -1.3416408f, 1e-5f);
}

TEST(LayerNorm, RejectsWeightsThatDoNotFit) {
  Runtime runtime({}, 1 << 20);
  Tensor x = Tensor::empty({2, 8}), weight = Tensor::empty({8});
  EXPECT_THROW(layer_norm(x, Tensor::empty({7}), Tensor(), 0), Error);
  EXPECT_THROW(layer_norm(x, weight, Tensor::empty({9}), 0), Error);
}

}  // namespace
}  // namespace lathe
