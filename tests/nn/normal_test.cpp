#include "lathe/nn/normal.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/base/isa.h"
#include "lathe/tensor/runtime.h"

namespace lathe {
namespace {

/// The values a normal [rows, columns] tensor of `slices` begins with.
std::vector<float> drawn(Shape shape, std::vector<Slice> slices) {
  Runtime runtime({}, 1 << 24);
  Parameter parameter(shape, std::move(slices), Init::normal(0.5f));
  parameter.materialize(DType::f32);
  initialize(parameter, Random(7));
  const float* values = parameter.kept.data<float>();
  return {values, values + parameter.kept.elements()};
}

std::vector<float> drawn(int64_t rows, int64_t columns) {
  return drawn({rows, columns}, {whole_matrix("a", rows, columns)});
}

TEST(NormalRows, AreOfTheGivenDeviation) {
  std::vector<float> values = drawn(400, 503);
  double sum = 0, squares = 0, fourth = 0, neighbours = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    double x = values[i] / 0.5;
    sum += x, squares += x * x, fourth += x * x * x * x, neighbours += x * values[i / 2 * 2] / 0.5 * double(i % 2);
  }
  double n = double(values.size());
  EXPECT_NEAR(sum / n, 0, 4 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 4 * std::sqrt(2 / n));
  EXPECT_NEAR(fourth / n, 3, 4 * std::sqrt(96 / n));
  EXPECT_NEAR(neighbours / n, 0, 4 / std::sqrt(n));
}

TEST(NormalRows, AreInAPartAsInTheWhole) {
  std::vector<float> whole = drawn(7, 1501);
  Slice slice = whole_matrix("a", 7, 1501);
  slice.first_row = 3, slice.rows = 2, slice.first_column = 501, slice.columns = 700;
  std::vector<float> part = drawn({2, 700}, {slice});
  for (int64_t r = 0; r < 2; ++r)
    for (int64_t c = 0; c < 700; ++c) ASSERT_EQ(part[size_t(r * 700 + c)], whole[size_t((r + 3) * 1501 + c + 501)]);
}

TEST(NormalRows, AreTheSameWithEveryInstructionSet) {
  std::vector<float> best = drawn(3, 2001);
  Isa before = isa();
  for (Isa other : {Isa::plain, Isa::avx2}) {
    if (!isa_available(other)) continue;
    set_isa(other);
    std::vector<float> values = drawn(3, 2001);
    set_isa(before);
    for (size_t i = 0; i < best.size(); ++i) ASSERT_NEAR(best[i], values[i], 1e-6);
  }
}

}  // namespace
}  // namespace lathe
