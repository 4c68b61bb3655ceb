#include "lathe/optim/gradient_squares.h"

#include <gtest/gtest.h>

#include "lathe/ops/sum_all.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

Tensor drawn(uint64_t seed, Shape shape) {
  Tensor tensor = Tensor::empty(shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = Random(seed).normal(uint64_t(i));
  return tensor;
}

TEST(GradientSquares, OnACpuAreThoseOfOneGradientAfterTheOther) {
  Runtime runtime({}, 1 << 24);
  std::vector<Tensor> gradients = {drawn(1, {301, 131}), drawn(2, {70}), drawn(3, {5, 9000})};
  Tensor one_by_one = zeros({1}), all = zeros({1});
  for (size_t i = 0; i < 3; ++i) sum_of_squares(gradients[i], i > 0, one_by_one);
  gradient_squares(gradients, all);
  EXPECT_EQ(read_value<float>(all), read_value<float>(one_by_one));
}

TEST(GradientSquares, OfNothingAreZero) {
  Runtime runtime({}, 1 << 20);
  Tensor out = zeros({1});
  fill(out, 7);
  gradient_squares({}, out);
  EXPECT_EQ(read_value<float>(out), 0.0f);
}

TEST(GradientSquares, AreOneCallOnAGpu) {
  Runtime runtime(Device{Backend::cuda}.as_meta(), Runtime::kUnbounded);
  std::vector<Tensor> gradients = {zeros({1000, 1000}), zeros({7})};
  Tensor out = zeros({1});
  WorkTotals before = runtime.totals;
  gradient_squares(gradients, out);
  EXPECT_EQ(runtime.totals.kernels - before.kernels, 1);
  EXPECT_EQ(runtime.totals.flops - before.flops, 2 * 1000007);
}

TEST(GradientSquares, RefuseGradientsThatAreNotF32) {
  Runtime runtime({}, 1 << 20);
  Tensor gradient = Tensor::empty({4}, DType::bf16), out = zeros({1});
  EXPECT_THROW(gradient_squares({&gradient, 1}, out), InternalError);
}

}  // namespace
}  // namespace lathe
