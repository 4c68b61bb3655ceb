#include "lathe/quant/fp8.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/nn/linear.h"
#include "lathe/nn/pass.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

struct OneLinear : Block {
  explicit OneLinear(int64_t in, int64_t out) : linear({.in = in, .sections = {{"w", out, 1}}}) {}
  Tensor forward(const Tensor& hidden, Pass& pass) override { return linear(hidden, pass); }
  void list(Inventory& inventory) override { linear.list(inventory); }
  Linear linear;
};

Tensor noise(Shape shape, uint64_t seed) {
  Tensor tensor = Tensor::empty(shape);
  for (int64_t i = 0; i < shape.elements(); ++i) tensor.data<float>()[i] = Random(seed).normal(uint64_t(i));
  return converted(tensor, DType::bf16);
}

/// Largest difference to the bf16 product of `rows` rows, in parts of the largest value.
double difference(int64_t rows) {
  OneLinear plain(32, 48), fp8(32, 48);
  EXPECT_EQ(use_fp8(fp8), 1);
  Tensor values = noise({48, 32}, 1), x = noise({rows, 32}, 2);
  Tensor results[2];
  for (OneLinear* block : {&plain, &fp8}) {
    Inventory inventory;
    block->list(inventory);
    EXPECT_EQ(inventory.parameters.size(), 1u);
    block->linear.weight->materialize(DType::bf16);
    Tensor& weight = inventory.parameters[0]->value;
    copy(values, weight);
    results[block == &fp8] = converted(block->linear.weight->multiply(x, {}), DType::f32);
  }
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < results[0].elements(); ++i) {
    worst = std::max(worst, std::abs(double(results[0].data<float>()[i]) - results[1].data<float>()[i]));
    largest = std::max(largest, std::abs(double(results[0].data<float>()[i])));
  }
  return worst / largest;
}

TEST(Fp8Products, RoundWhatFitsAndLeaveOtherRowsAsTheyAre) {
  Runtime runtime({}, 1 << 24);
  EXPECT_GT(difference(32), 0);
  EXPECT_LT(difference(32), 0.1);  // a code is off by up to 1/16, and 32 of them are summed
  EXPECT_EQ(difference(5), 0);
}

TEST(Fp8Products, LeaveAWeightThatDoesNotFit) {
  Runtime runtime({}, 1 << 20);
  OneLinear block(24, 48);
  EXPECT_EQ(use_fp8(block), 0);
}

}  // namespace
}  // namespace lathe
