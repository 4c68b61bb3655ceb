#include "lathe/ops/advance_step.h"

#include <gtest/gtest.h>

#include "lathe/tensor/transfer.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

std::vector<std::vector<float>> advanced(Device device) {
  Runtime runtime(device, 1 << 20);
  auto numbers = [](const std::vector<int32_t>& values) {
    Tensor tensor = Tensor::empty({int64_t(values.size())}, DType::i32);
    upload(std::span(values), tensor);
    return tensor;
  };
  Tensor chosen = numbers({7, -1, 9}), tokens = numbers({1, 2, 3}), positions = numbers({4, 0, 6});
  Tensor slots = numbers({14, 20, 36}), lengths = numbers({5, 1, 7});
  advance_step(chosen, tokens, positions, slots, lengths);
  return {values_of(tokens), values_of(positions), values_of(slots), values_of(lengths)};
}

const std::vector<std::vector<float>> kAdvanced = {{7, 0, 9}, {5, 1, 7}, {15, 21, 37}, {6, 2, 8}};

TEST(AdvanceStep, TakesWhatWasChosenOnePlaceFurtherAndNoTokenBelow0) { EXPECT_EQ(advanced({}), kAdvanced); }

using GpuAdvanceStep = GpuTest;
TEST_F(GpuAdvanceStep, DoesTheSame) { EXPECT_EQ(advanced({Backend::cuda}), kAdvanced); }

}  // namespace
}  // namespace lathe
