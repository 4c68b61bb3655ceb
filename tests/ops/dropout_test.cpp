#include "lathe/ops/dropout.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/ops/op_support.h"

namespace lathe {
namespace {

using Inputs = std::span<const Tensor>;
const Random kRandom = Random(5).fork("dropout");

std::vector<int32_t> keys(int32_t first, int32_t count) {
  std::vector<int32_t> keys;
  for (int32_t i = 0; i < count; ++i) keys.push_back(first + i);
  return keys;
}

TEST(Dropout, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return dropout(x[0], 0.25f, kRandom, x[1]); };
  check_op("dropout", {{{5, 37}}, ids_input(keys(0, 5))}, op);
  check_op("dropout", {{{5, 300}}, ids_input(keys(70, 5))}, op);
  check_op("dropout", {{{301, 131}}, ids_input(keys(0, 301))}, op, kParallel);
}

TEST(Dropout, DropsTheShareItWasTold) {
  Runtime runtime({}, 1 << 24);
  Tensor x = tensor_of({1000, 100}, std::vector<float>(100000, 1.0f));
  std::vector<float> y = values_of(dropout(x, 0.1f, kRandom, make_inputs({ids_input(keys(0, 1000))}, DType::f32)[0]));
  double dropped = double(std::count(y.begin(), y.end(), 0.0f)) / double(y.size());
  EXPECT_NEAR(dropped, 0.1, 0.004);  // four standard deviations
  EXPECT_NEAR(*std::max_element(y.begin(), y.end()), 1 / 0.9f, 1e-4f);
}

TEST(Dropout, DependsOnTheKeyOfATokenNotOnItsPlace) {
  Runtime runtime({}, 1 << 24);
  auto drawn = [](std::vector<int32_t> of) {
    Tensor x = tensor_of({int64_t(of.size()), 40}, std::vector<float>(of.size() * 40, 1.0f));
    return values_of(dropout(x, 0.5f, kRandom, make_inputs({ids_input(of)}, DType::f32)[0]));
  };
  std::vector<float> both = drawn({8, 9}), second = drawn({9});
  EXPECT_TRUE(std::equal(second.begin(), second.end(), both.begin() + 40));
  EXPECT_FALSE(std::equal(second.begin(), second.end(), both.begin()));
}

TEST(Dropout, OfNothingIsTheInputItself) {
  Runtime runtime({}, 1 << 20);
  Tensor x = Tensor::empty({2, 3}), of = Tensor::empty({2}, DType::i32);
  EXPECT_EQ(dropout(x, 0, kRandom, of).shared_storage(), x.shared_storage());
}

TEST(Dropout, RejectsKeysAndSharesThatDoNotFit) {
  Runtime runtime({}, 1 << 20);
  Tensor x = Tensor::empty({2, 3}), of = Tensor::empty({2}, DType::i32);
  EXPECT_THROW(dropout(x, 1, kRandom, of), Error);
  EXPECT_THROW(dropout(x, -0.1f, kRandom, of), Error);
  EXPECT_THROW(dropout(x, 0.1f, kRandom, Tensor::empty({3}, DType::i32)), Error);
  EXPECT_THROW(dropout(x, 0.1f, kRandom, Tensor::empty({2})), Error);
}

}  // namespace
}  // namespace lathe
