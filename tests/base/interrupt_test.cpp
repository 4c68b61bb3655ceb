#include "lathe/base/interrupt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "lathe/base/error.h"

namespace lathe {
namespace {

TEST(Interrupt, SetsAFlagOnce) {
  InterruptGuard guard;
  EXPECT_FALSE(interrupted());
  EXPECT_EQ(interrupt_status(), 0);
  std::raise(SIGTERM);
  EXPECT_TRUE(interrupted());
  EXPECT_EQ(interrupt_status(), 143);
}

TEST(Interrupt, ForgetsAtTheNextGuard) {
  {
    InterruptGuard guard;
    std::raise(SIGINT);
    EXPECT_EQ(interrupt_status(), 130);
  }
  InterruptGuard guard;
  EXPECT_FALSE(interrupted());
}

TEST(Interrupt, RestoresWhatWasBefore) {
  static int seen = 0;
  auto before = std::signal(SIGINT, [](int) { ++seen; });
  { InterruptGuard guard; }
  std::raise(SIGINT);
  std::signal(SIGINT, before);
  EXPECT_EQ(seen, 1);
}

TEST(Interrupt, AllowsOneGuardAtATime) {
  InterruptGuard guard;
  EXPECT_THROW(InterruptGuard{}, InternalError);
}

TEST(InterruptDeathTest, QuitsAtTheSecondSignal) {
  auto signal_twice = [](int first, int second) {
    InterruptGuard guard;
    std::raise(first);
    std::raise(second);
  };
  EXPECT_EXIT(signal_twice(SIGINT, SIGINT), testing::ExitedWithCode(130), "once more quits at once");
  EXPECT_EXIT(signal_twice(SIGINT, SIGTERM), testing::ExitedWithCode(143), "");
}

}  // namespace
}  // namespace lathe
