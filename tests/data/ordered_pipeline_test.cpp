#include "lathe/data/ordered_pipeline.h"

#include <gtest/gtest.h>

#include "tests/data/data_support.h"
#include "tests/support/error_of.h"

namespace lathe::data {
namespace {

using Pipeline = OrderedPipeline<int, int>;

Pipeline::Make count_to(int end) {
  return [end, next = 0](int& item) mutable { return (item = next++) < end; };
}

TEST(OrderedPipeline, TakesResultsInTheOrderTheyWereMade) {
  for (int threads : {1, 2, 7}) {
    std::vector<int> taken;
    const auto work = [](int& item, int& result) {
      if (item % 5 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
      result = item * item;
    };
    Pipeline(threads).run(count_to(100), work, [&](int& result) { taken.push_back(result); });
    ASSERT_EQ(taken.size(), 100u);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(taken[static_cast<size_t>(i)], i * i);
  }
}

TEST(OrderedPipeline, RunsOnNothing) {
  Pipeline(3).run(
      count_to(0), [](int&, int&) {}, [](int&) { FAIL(); });
}

TEST(OrderedPipeline, ThrowsWhatAnyStageThrows) {
  const auto fail_at = [](int place) {
    return [place](int& item, auto&...) { require(item != place, "failed at ", place); };
  };
  const auto ignore = [](int&) {};
  EXPECT_EQ(error_of([&] { Pipeline(2).run(count_to(100), fail_at(50), ignore); }), "failed at 50");
  EXPECT_EQ(error_of([&] {
              Pipeline(2).run(
                  count_to(100), [](int& i, int& r) { r = i; }, fail_at(50));
            }),
            "failed at 50");
  const auto make = [next = 0](int& item) mutable {
    require(next < 50, "failed at 50");
    item = next++;
    return true;
  };
  EXPECT_EQ(error_of([&] {
              Pipeline(2).run(
                  make, [](int&, int&) {}, ignore);
            }),
            "failed at 50");
}

}  // namespace
}  // namespace lathe::data
