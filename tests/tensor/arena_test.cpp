#include "lathe/tensor/arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "lathe/base/error.h"

namespace lathe {
namespace {

using testing::HasSubstr;

constexpr int64_t kUnit = Arena::kAlignment;

template <class Run>
std::string message_of(Run run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

TEST(Arena, RoundsUpToItsAlignment) {
  Arena arena({}, 64 * kUnit);
  EXPECT_EQ(arena.allocate(0).bytes, kUnit);
  EXPECT_EQ(arena.allocate(1).bytes, kUnit);
  EXPECT_EQ(arena.allocate(kUnit + 1).bytes, 2 * kUnit);
  EXPECT_EQ(arena.use().live, 4 * kUnit);
}

TEST(Arena, TakesTheSmallestGapThatFits) {
  Arena arena({}, 64 * kUnit);
  MemoryRange wide = arena.allocate(5 * kUnit), a = arena.allocate(1), narrow = arena.allocate(3 * kUnit);
  MemoryRange b = arena.allocate(1);
  arena.release(wide);
  arena.release(narrow);
  EXPECT_EQ(arena.allocate(3 * kUnit).offset, narrow.offset);
  EXPECT_EQ(arena.allocate(4 * kUnit).offset, wide.offset);
  EXPECT_GT(b.offset, a.offset);
}

TEST(Arena, JoinsNeighbouringGaps) {
  Arena arena({}, 8 * kUnit);
  std::vector<MemoryRange> ranges;
  for (int i = 0; i < 8; ++i) ranges.push_back(arena.allocate(kUnit));
  for (int i : {1, 3, 2, 0, 6, 7, 5, 4}) arena.release(ranges[size_t(i)]);
  EXPECT_EQ(arena.allocate(8 * kUnit).offset, 0);
}

TEST(Arena, ReservesNoMoreWhenBytesAreTakenAgain) {
  Arena arena({}, int64_t{1} << 30);
  int64_t reserved = 0;
  for (int step = 0; step < 100; ++step) {
    std::vector<MemoryRange> ranges;
    for (int i = 0; i < 50; ++i) ranges.push_back(arena.allocate((i * 7919 % 97 + 1) * kUnit));
    for (const MemoryRange& range : ranges) arena.release(range);
    if (step == 0) reserved = arena.use().reserved;
  }
  EXPECT_EQ(arena.use().reserved, reserved);
  EXPECT_EQ(arena.use().live, 0);
}

TEST(Arena, SplitsItsPeakByPurpose) {
  Arena arena({}, 64 * kUnit);
  PurposeScope weights(Purpose::weights);
  arena.allocate(2 * kUnit);
  {
    PurposeScope workspace(Purpose::workspace);
    arena.release(arena.allocate(3 * kUnit));
  }
  arena.allocate(kUnit);
  EXPECT_EQ(arena.use().peak, 5 * kUnit);
  EXPECT_EQ(arena.use().at_peak[size_t(Purpose::weights)], 2 * kUnit);
  EXPECT_EQ(arena.use().at_peak[size_t(Purpose::workspace)], 3 * kUnit);
  EXPECT_EQ(arena.use().live_by_purpose[size_t(Purpose::weights)], 3 * kUnit);
  arena.forget_peak();
  EXPECT_EQ(arena.use().peak, 3 * kUnit);
  EXPECT_EQ(arena.use().at_peak[size_t(Purpose::workspace)], 0);
}

TEST(Arena, CountsAReleaseUnderThePurposeOfItsAllocation) {
  Arena arena({}, 64 * kUnit);
  MemoryRange range;
  {
    PurposeScope scope(Purpose::kv_cache);
    range = arena.allocate(kUnit);
  }
  arena.release(range);
  EXPECT_EQ(arena.use().live_by_purpose, BytesByPurpose{});
}

TEST(Arena, SaysWhatTookTheMemoryWhenItIsFull) {
  Arena arena({}, 4 * kUnit);
  PurposeScope optimizer(Purpose::optimizer);
  arena.allocate(3 * kUnit);
  PurposeScope activations(Purpose::activations);
  std::string message = message_of([&] { arena.allocate(2 * kUnit); });
  EXPECT_THAT(message, HasSubstr("cpu:0: out of memory: 512 bytes of activations wanted, 768 of 1024 in use"));
  EXPECT_THAT(message, HasSubstr("optimizer"));
  EXPECT_THAT(message, HasSubstr("micro_batch"));
  EXPECT_EQ(arena.allocate(kUnit).offset, 3 * kUnit);  // and goes on
}

TEST(Arena, HasNoBytesOnMeta) {
  Arena arena(Device{}.as_meta(), int64_t{1} << 56);
  EXPECT_EQ(arena.base(), nullptr);
  arena.allocate(int64_t{1} << 50);
  EXPECT_EQ(arena.use().reserved, int64_t{1} << 50);
}

TEST(Arena, HoldsWhatIsWrittenIntoEachRange) {
  Arena arena({}, 64 * kUnit);
  std::vector<MemoryRange> ranges;
  for (int i = 0; i < 20; ++i) {
    ranges.push_back(arena.allocate((i % 3 + 1) * kUnit));
    std::memset(arena.base() + ranges.back().offset, i, size_t(ranges.back().bytes));
  }
  for (int i = 0; i < 20; ++i)
    for (int64_t at : {int64_t{0}, ranges[size_t(i)].bytes - 1})
      EXPECT_EQ(arena.base()[ranges[size_t(i)].offset + at], std::byte(i));
}

TEST(PurposeScope, IsOfItsThread) {
  PurposeScope scope(Purpose::optimizer);
  Purpose elsewhere{};
  std::thread([&] { elsewhere = PurposeScope::current(); }).join();
  EXPECT_EQ(elsewhere, Purpose::activations);
  EXPECT_EQ(PurposeScope::current(), Purpose::optimizer);
}

}  // namespace
}  // namespace lathe
