#include "lathe/ops/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/tensor/tape.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

using Inputs = std::span<const Tensor>;

const std::vector<OpInput> kPair = {{{5, 19}}, {{5, 19}}};
const std::vector<OpInput> kLargePair = {{{301, 131}}, {{301, 131}}};

TEST(Add, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return add(x[0], x[1]); };
  check_op("add", kPair, op);
  check_op("add", kLargePair, op, kParallel);
}

TEST(Scale, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return scale(x[0], 0.3f); };
  check_op("scale", {{{5, 19}}}, op);
  check_op("scale", {{{301, 131}}}, op, kParallel);
}

TEST(Multiply, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return multiply(x[0], x[1]); };
  check_op("multiply", kPair, op);
  check_op("multiply", kLargePair, op, kParallel);
  check_op("square", {{{5, 19}}}, [](Inputs x) { return multiply(x[0], x[0]); });
}

TEST(Reshape, KeepsThePromisesOfAnOp) {
  check_op("reshape", {{{5, 12}}}, [](Inputs x) { return reshape(scale(x[0], 2), {10, 6}); });
}

TEST(AddBias, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return add_bias(x[0], x[1]); };
  for (int64_t columns : {1, 19, 64}) check_op("add_bias", {{{5, columns}}, f32_input({columns})}, op);
  check_op("add_bias", {{{301, 131}}, f32_input({131})}, op, kParallel);
}

TEST(WithLoss, SeedsTheAuxiliaryLoss) {
  auto op = [](Inputs x) { return with_loss(scale(x[0], 2), sum_all(multiply(x[1], x[1])), 0.5f); };
  Runtime runtime({}, 1 << 20);
  struct Sink : GradientSink {
    void receive(const Tensor& gradient) override {
      for (size_t i = 0; i < 2; ++i) values[i] += values_of(gradient)[i];
    }
    std::vector<float> values = {0, 0};
  } sink;
  std::vector<Tensor> inputs = {tensor_of({2}, {1, 2}), tensor_of({2}, {3, 4})};
  inputs[1].make_leaf(&sink);
  Tape tape;
  Tensor out;
  {
    Recording on(&tape);
    out = op(inputs);
  }
  EXPECT_EQ(values_of(out), (std::vector<float>{2, 4}));
  tape.backward(out, tensor_of({2}, {7, 7}));
  EXPECT_EQ(sink.values, (std::vector<float>{3, 4}));
}

TEST(SumAll, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return sum_all(x[0]); };
  check_op("sum_all", {{.shape = {5, 19}, .low = 0}}, op);
  check_op("sum_all", {{.shape = {301, 131}, .low = 0}}, op, kParallel);
}

TEST(SumOfSquares, AddsUpTensors) {
  Runtime runtime({}, 1 << 20);
  Tensor out = Tensor::empty({1});
  sum_of_squares(tensor_of({2, 2}, {1, 2, 3, 4}), false, out);
  sum_of_squares(tensor_of({3}, {1, 1, 1}), true, out);
  EXPECT_EQ(values_of(out)[0], 33);
}

TEST(SumOfSquares, FindsWhatIsNotFinite) {
  Runtime runtime({}, 1 << 20);
  Tensor out = Tensor::empty({1});
  for (float bad : {INFINITY, -INFINITY, NAN}) {
    sum_of_squares(tensor_of({1, 3}, {1, bad, 1}), false, out);
    EXPECT_FALSE(std::isfinite(values_of(out)[0]));
  }
}

TEST(Columns, KeepThePromisesOfAnOp) {
  auto op = [](Inputs x) { return columns(x[0], 3, 9); };
  check_op("columns", {{{5, 19}}}, op);
  check_op("columns", {{{5000, 19}}}, op, kParallel);
}

TEST(ConcatenateColumns, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return concatenate_columns(x); };
  OpInput constant{{5, 2}};
  constant.differentiable = false;
  check_op("concatenate_columns", {{{5, 3}}, constant, {{5, 17}}}, op);
  check_op("concatenate_columns", {{{3000, 3}}, {{3000, 17}}}, op, kParallel);
}

TEST(AddColumns, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return add_columns(x[0], x[1], 4); };
  check_op("add_columns", {{{5, 25}}, {{5, 18}}}, op);
  check_op("add_columns", {{{2500, 25}}, {{2500, 18}}}, op, kParallel);
  check_op("add_columns in place", kPair, [](Inputs x) { return add_columns(multiply(x[0], x[1]), x[1], 0); });
}

TEST(AddColumns, WritesInPlaceWhatWasMovedToIt) {
  Runtime runtime({}, 1 << 20);
  Tensor y = tensor_of({1, 3}, {1, 2, 3}), delta = tensor_of({1, 2}, {10, 20});
  const float* before = y.data<float>();
  Tensor out = add_columns(std::move(y), delta, 1);
  EXPECT_EQ(out.data<float>(), before);
  EXPECT_EQ(values_of(out), (std::vector<float>{1, 12, 23}));
}

TEST(Rows, KeepThePromisesOfAnOp) {
  check_op("rows", {{{7, 19}}}, [](Inputs x) { return rows(scale(x[0], 2), 2, 3); });
}

TEST(GatherRows, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return gather_rows(x[0], x[1]); };
  check_op("gather_rows", {{{7, 19}}, ids_input({4, 0, 4, 6})}, op);
  std::vector<int32_t> many;
  for (int32_t i = 0; i < 600; ++i) many.push_back((i * 37) % 199);
  check_op("gather_rows", {{{199, 67}}, ids_input(many)}, op, kParallel);
}

TEST(Elementwise, RejectShapesThatDoNotFit) {
  Runtime runtime({}, 1 << 20);
  Tensor a = Tensor::empty({2, 8}), b = Tensor::empty({2, 7}), half = Tensor::empty({2, 8}, DType::bf16);
  EXPECT_THROW(add(a, b), Error);
  EXPECT_THROW(add(a, half), Error);
  EXPECT_THROW(multiply(a, b), Error);
  EXPECT_THROW(reshape(a, {3, 5}), Error);
  EXPECT_THROW(add_bias(a, Tensor::empty({7})), Error);
  EXPECT_THROW(columns(a, 4, 5), Error);
  EXPECT_THROW(add_columns(a, b, 2), Error);
  EXPECT_THROW(concatenate_columns(std::vector<Tensor>{a, Tensor::empty({3, 8})}), Error);
  EXPECT_THROW(rows(a, 1, 2), Error);
  EXPECT_THROW(gather_rows(a, b), Error);
  EXPECT_THROW(with_loss(a, b, 1), Error);
}

}  // namespace
}  // namespace lathe
