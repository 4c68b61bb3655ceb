#include "lathe/ops/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/op_support.h"

namespace lathe {
namespace {

Op rotate(int64_t heads, RotarySpec spec) {
  return [heads, spec](std::span<const Tensor> x) { return rotary(x[0], x[1], heads, spec); };
}

std::vector<OpInput> inputs(int64_t heads, int64_t head_dim) {
  return {{{4, heads, head_dim}}, ids_input({0, 3, 1000, 100000})};
}

TEST(Rotary, KeepsThePromisesOfAnOp) {
  for (bool interleaved : {false, true}) {
    check_op("rotary", inputs(3, 16), rotate(2, {.dims = 16, .interleaved = interleaved}));
    check_op("rotary of a part", inputs(3, 22), rotate(3, {.dims = 6, .interleaved = interleaved}));
  }
}

TEST(Rotary, KeepsThemInParallel) {
  std::vector<int32_t> positions(300);
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = int32_t(i);
  check_op("rotary", {{{300, 4, 64}}, ids_input(positions)}, rotate(3, {.dims = 64}), kParallel);
}

TEST(Rotary, TurnsEachPairByItsPositionAndFrequency) {
  Runtime runtime({}, 1 << 20);
  Tensor x = tensor_of({1, 1, 4}, {1, 2, 3, 4}), positions = make_inputs({ids_input({5})}, DType::f32)[0];
  std::vector<float> y = values_of(rotary(x, positions, 1, {.dims = 4, .theta = 100}));
  EXPECT_NEAR(y[0], std::cos(5.0) - 3 * std::sin(5.0), 1e-6);
  EXPECT_NEAR(y[2], 3 * std::cos(5.0) + std::sin(5.0), 1e-6);
  EXPECT_NEAR(y[1], 2 * std::cos(0.5) - 4 * std::sin(0.5), 1e-6);
  EXPECT_NEAR(y[3], 4 * std::cos(0.5) + 2 * std::sin(0.5), 1e-6);
}

TEST(Rotary, ScalesFrequenciesAsNamed) {
  RotarySpec plain{.dims = 64}, linear = plain, llama3 = plain, yarn = plain;
  linear.scaling = "linear", llama3.scaling = "llama3", yarn.scaling = "yarn";
  linear.factor = llama3.factor = yarn.factor = 4;
  for (RotarySpec* spec : {&llama3, &yarn}) {  // fast pairs keep their frequency, slow ones are stretched
    EXPECT_DOUBLE_EQ(rotary_frequency(*spec, 0), 1);
    EXPECT_DOUBLE_EQ(rotary_frequency(*spec, 31), rotary_frequency(plain, 31) / 4);
  }
  EXPECT_DOUBLE_EQ(rotary_frequency(linear, 7), rotary_frequency(plain, 7) / 4);
  EXPECT_DOUBLE_EQ(rotary_magnitude(yarn), 0.1 * std::log(4.0) + 1);
}

TEST(Rotary, DividesByFactorsAndGrowsWithTheLongestText) {
  RotarySpec plain{.dims = 4}, longrope = plain, dynamic = plain;
  longrope.scaling = "longrope", dynamic.scaling = "dynamic";
  longrope.original_max_position_embeddings = dynamic.original_max_position_embeddings = 8;
  longrope.factor = dynamic.factor = 4;
  longrope.short_factor = {1, 2}, longrope.long_factor = {3, 5};
  EXPECT_DOUBLE_EQ(rotary_frequency(for_length(longrope, 8), 1), rotary_frequency(plain, 1) / 2);
  EXPECT_DOUBLE_EQ(rotary_frequency(for_length(longrope, 9), 1), rotary_frequency(plain, 1) / 5);
  EXPECT_DOUBLE_EQ(rotary_magnitude(longrope), std::sqrt(1 + std::log(4.0) / std::log(8.0)));
  EXPECT_DOUBLE_EQ(rotary_frequency(for_length(dynamic, 8), 1), rotary_frequency(plain, 1));
  EXPECT_NEAR(rotary_frequency(for_length(dynamic, 16), 1), rotary_frequency(plain, 1) / 5,
              1e-12);  // 4 * 2 - 3, squared
}

TEST(Rotary, RejectsWhatDoesNotFit) {
  Runtime runtime({}, 1 << 20);
  Tensor x = tensor_of({1, 1, 4}, {1, 2, 3, 4}), positions = make_inputs({ids_input({5})}, DType::f32)[0];
  EXPECT_THROW(rotary(x, positions, 1, {.dims = 3}), Error);
  EXPECT_THROW(rotary(x, positions, 1, {.dims = 6}), Error);
  EXPECT_THROW(rotary(x, positions, 2, {.dims = 4}), Error);
  EXPECT_THROW(rotary(x, positions, 1, {.dims = 4, .scaling = "cubic"}), Error);
}

}  // namespace
}  // namespace lathe
