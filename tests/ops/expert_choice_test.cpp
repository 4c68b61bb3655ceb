#include "lathe/ops/expert_choice.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/ops/elementwise.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

using Inputs = std::span<const Tensor>;

/// Logits that bf16 and small steps leave in their order.
OpInput distinct_logits(int64_t tokens, int64_t experts) {
  OpInput input{{tokens, experts}};
  for (int64_t i = 0; i < tokens * experts; ++i) input.values.push_back(float(i * 37 % 101) / 25 - 2);
  return input;
}

TEST(ChooseExperts, TakesTheLargestAndSharesByTheirSoftmax) {
  Runtime runtime({}, 1 << 20);
  ExpertChoice choice = choose_experts(tensor_of({2, 3}, {1, 3, 2, 0, 0, -1}), 2);
  std::vector<float> shares = values_of(choice.shares);
  float larger = 1 / (1 + std::exp(-1.0f));
  EXPECT_FLOAT_EQ(shares[0], larger);
  EXPECT_FLOAT_EQ(shares[1], 1 - larger);
  EXPECT_FLOAT_EQ(shares[2], 0.5f);
  auto numbers = [](const Tensor& x) {
    return std::vector<int32_t>(x.data<int32_t>(), x.data<int32_t>() + x.elements());
  };
  EXPECT_EQ(numbers(choice.offsets), (std::vector<int32_t>{0, 1, 3, 4}));  // experts 1 and 2, then 0 and 1
  EXPECT_EQ(numbers(choice.tokens), (std::vector<int32_t>{1, 0, 1, 0}));
  EXPECT_EQ(numbers(choice.rows), (std::vector<int32_t>{1, 3, 0, 2}));
}

TEST(ChooseExperts, RejectsMoreThanThereAre) {
  Runtime runtime({}, 1 << 20);
  EXPECT_THROW(choose_experts(tensor_of({1, 3}, {1, 2, 3}), 4), Error);
  EXPECT_THROW(choose_experts(tensor_of({1, 3}, {1, 2, 3}), 0), Error);
}

TEST(ChooseExperts, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return choose_experts(x[0], 3).shares; };
  check_op("choose_experts", {distinct_logits(5, 8)}, op);
}

TEST(MixExperts, KeepsThePromisesOfAnOp) {
  auto op = [](Inputs x) { return mix_experts(x[0], choose_experts(x[1], 2)); };
  check_op("mix_experts", {{{10, 19}}, distinct_logits(5, 4)}, op);
  check_op("mix_experts", {{{602, 67}}, distinct_logits(301, 8)}, op, kParallel);
}

TEST(MixExperts, UndoesTheOrderOfExperts) {
  Runtime runtime({}, 1 << 20);
  ExpertChoice choice = choose_experts(tensor_of({3, 2}, {0, 5, 5, 0, 0, 5}), 1);
  Tensor x = tensor_of({3, 1}, {1, 2, 3});
  EXPECT_EQ(values_of(mix_experts(gather_rows(x, choice.tokens), choice)), values_of(x));
}

}  // namespace
}  // namespace lathe
