#include "lathe/base/threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <pthread.h>

#include "lathe/base/prefetcher.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

class RestoredThreads : public testing::Test {
 protected:
  ~RestoredThreads() override { set_threads(before_); }
  int before_ = threads();
};
using Threads = RestoredThreads;

TEST_F(Threads, AreAtLeastOne) { EXPECT_GE(threads(), 1); }

TEST_F(Threads, KeepTheQuotaOfTheControlGroup) {
  TemporaryDirectory directory;
  CgroupPlace place{directory.file("cgroup", "0::/\n"), directory.path()};
  directory.file("cpu.max", "50000 100000\n");
  EXPECT_EQ(available_threads(place), 1);
  directory.file("cpu.max", "max 100000\n");
  EXPECT_EQ(available_threads(place), available_threads({"/none", "/none"}));
}

TEST_F(Threads, SetOpenMpInThisThreadAndInThoseStartedLater) {
  set_threads(3);
  EXPECT_EQ(omp_get_max_threads(), 3);
  int inside = 0;
  char name[16] = {};
  start_thread("a name that is too long", [&] {
    inside = omp_get_max_threads();
    pthread_getname_np(pthread_self(), name, sizeof name);
  }).join();
  EXPECT_EQ(inside, 3);
  EXPECT_STREQ(name, "a name that is ");
}

TEST_F(Threads, RejectACountThatCannotBe) {
  EXPECT_EQ(error_of([] { set_threads(0); }), "threads: 0 is not between 1 and 4096");
}

TEST(BoundedQueue, KeepsOrderAndEndsWhenClosed) {
  BoundedQueue<int> queue(4);
  for (int i : {1, 2, 3}) EXPECT_TRUE(queue.push(i));
  queue.close();
  EXPECT_FALSE(queue.push(4));
  for (int i : {1, 2, 3}) EXPECT_EQ(queue.pop(), i);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(BoundedQueue, LetsThePusherWaitForRoom) {
  BoundedQueue<int> queue(2);
  std::thread pusher([&] {
    for (int i = 0; i < 1000; ++i) queue.push(i);
    queue.close();
  });
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LE(queue.size(), 2);
    ASSERT_EQ(queue.pop(), i);
  }
  EXPECT_EQ(queue.pop(), std::nullopt);
  pusher.join();
}

TEST(BoundedQueue, ThrowsTheFailureAfterTheItemsBeforeIt) {
  BoundedQueue<int> queue(2);
  queue.push(1);
  queue.fail(std::make_exception_ptr(Error("broken")));
  queue.close();
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(error_of([&] { queue.pop(); }), "broken");
}

TEST(Prefetcher, GivesItemsInOrderThenTheEnd) {
  int made = 0;
  Prefetcher<int> prefetcher("test", 3,
                             [&]() -> std::optional<int> { return made < 100 ? std::optional(made++) : std::nullopt; });
  for (int i = 0; i < 100; ++i) ASSERT_EQ(prefetcher.next(), i);
  EXPECT_EQ(prefetcher.next(), std::nullopt);
  EXPECT_GE(prefetcher.waited_seconds(), 0);
}

TEST(Prefetcher, ForwardsWhatMakeThrows) {
  int made = 0;
  Prefetcher<int> prefetcher("test", 3, [&]() -> std::optional<int> {
    require(made < 2, "line 3 is broken");
    return made++;
  });
  EXPECT_EQ(prefetcher.next(), 0);
  EXPECT_EQ(prefetcher.next(), 1);
  EXPECT_EQ(error_of([&] { prefetcher.next(); }), "line 3 is broken");
}

TEST(Prefetcher, StopsWhenDroppedWithItemsLeft) {
  std::atomic<int> made = 0;
  {
    Prefetcher<int> prefetcher("test", 2, [&]() -> std::optional<int> { return made++; });
  }
  EXPECT_LE(made, 4);
}

}  // namespace
}  // namespace lathe
