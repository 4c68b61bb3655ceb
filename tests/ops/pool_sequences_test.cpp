#include "lathe/ops/pool_sequences.h"

#include "lathe/base/error.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

constexpr Pooling kAll[] = {
    Pooling::mean, Pooling::mean_sqrt_length, Pooling::weighted_mean, Pooling::first, Pooling::last, Pooling::max};

TEST(PoolSequences, KeepsThePromisesOfAnOp) {
  for (Pooling pooling : kAll) {
    auto op = [pooling](std::span<const Tensor> x) { return pool_sequences(x[0], x[1], pooling); };
    check_op("pool_sequences", {{{9, 6}}, ids_input({0, 1, 5, 9})}, op);
  }
  check_op(
      "pool_sequences", {{{300, 130}}, ids_input({0, 7, 250, 300})},
      [](std::span<const Tensor> x) { return pool_sequences(x[0], x[1], Pooling::mean); }, kParallel);
}

TEST(PoolSequences, PoolsEachSequenceByItself) {
  Runtime runtime({}, 1 << 20);
  Tensor x = tensor_of({5, 2}, {1, 10, 4, 40, 7, 10, 3, 20, 5, 30});
  Tensor offsets = make_inputs({ids_input({0, 1, 5})}, DType::f32)[0];
  const std::pair<Pooling, std::vector<float>> expected[] = {{Pooling::mean, {1, 10, 4.75, 25}},
                                                             {Pooling::mean_sqrt_length, {1, 10, 9.5, 50}},
                                                             {Pooling::weighted_mean, {1, 10, 4.7f, 24}},
                                                             {Pooling::first, {1, 10, 4, 40}},
                                                             {Pooling::last, {1, 10, 5, 30}},
                                                             {Pooling::max, {1, 10, 7, 40}}};
  for (const auto& [pooling, values] : expected) {
    std::vector<float> found = values_of(pool_sequences(x, offsets, pooling));
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(found[i], values[i], 1e-5f) << int(pooling) << ' ' << i;
  }
}

TEST(PoolSequences, GivesZerosForAnEmptySequence) {
  Runtime runtime({}, 1 << 20);
  Tensor offsets = make_inputs({ids_input({0, 0, 1})}, DType::f32)[0];
  for (Pooling pooling : kAll)
    EXPECT_EQ(values_of(pool_sequences(tensor_of({1, 2}, {1, 2}), offsets, pooling)), (std::vector<float>{0, 0, 1, 2}));
}

TEST(PoolSequences, RejectsOffsetsThatAreNone) {
  Runtime runtime({}, 1 << 20);
  Tensor x = tensor_of({2, 2}, {1, 2, 3, 4});
  EXPECT_THROW(pool_sequences(x, x, Pooling::mean), Error);
}

}  // namespace
}  // namespace lathe
