#include "lathe/ops/relative_bias.h"

#include "lathe/base/error.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

TEST(RelativeBias, KeepsThePromisesOfAnOp) {
  for (bool both_ways : {true, false}) {
    auto op = [both_ways](std::span<const Tensor> x) { return relative_bias(x[0], {8, 20, both_ways}); };
    check_op("relative_bias", {f32_input({8, 3})}, op);
  }
}

TEST(RelativeBias, HasTheBucketsOfT5) {
  RelativeBuckets encoder(32, 128, true), decoder(32, 128, false);
  const std::pair<int64_t, int64_t> both[] = {{0, 0},    {-1, 1},   {1, 17},   {-7, 7},    {-8, 8},  {-11, 8},
                                              {-12, 9},  {-16, 10}, {-23, 11}, {-64, 14},  {64, 30}, {-90, 14},
                                              {-91, 15}, {127, 31}, {128, 31}, {-500, 15}, {-32, 12}};
  for (auto [distance, bucket] : both) EXPECT_EQ(encoder.of(distance), bucket) << distance;
  const std::pair<int64_t, int64_t> behind[] = {{5, 0},    {0, 0},    {-15, 15},  {-16, 16},
                                                {-18, 16}, {-19, 17}, {-113, 31}, {-128, 31}};
  for (auto [distance, bucket] : behind) EXPECT_EQ(decoder.of(distance), bucket) << distance;
}

TEST(RelativeBias, RejectsWhatDoesNotFit) {
  Runtime runtime({}, 1 << 20);
  EXPECT_THROW(relative_bias(tensor_of({4, 1}, {1, 2, 3, 4}), {8, 20, true}), Error);
  EXPECT_THROW(RelativeBuckets(1, 20, true), Error);
  EXPECT_THROW(RelativeBuckets(1000, 20, true), Error);
  EXPECT_THROW(RelativeBuckets(8, 1, false), Error);
}

}  // namespace
}  // namespace lathe
