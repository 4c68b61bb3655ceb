#include "lathe/tensor/rehearse.h"

#include <gtest/gtest.h>

#include <optional>

#include "lathe/base/error.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

constexpr int64_t kUnit = Arena::kAlignment, kFloats = kUnit / int64_t(sizeof(float));

/// Three tensors, of which the last takes the place of the first; `units` scales them all.
void episode(int64_t units) {
  Tensor a = zeros({units * kFloats}), b = zeros({3 * units * kFloats});
  a = Tensor();
  Tensor c = zeros({units * kFloats});
}

Placement rehearsed(const std::function<void()>& run) {
  Runtime meta(Device{}.as_meta(), Runtime::kUnbounded);
  return rehearse(run).placement;
}

TEST(Rehearse, CountsWhatTheEpisodeDidAlone) {
  Runtime meta(Device{}.as_meta(), Runtime::kUnbounded);
  Tensor kept = zeros({100});
  Rehearsal first = rehearse([] { episode(2); }), second = rehearse([] { episode(2); });
  EXPECT_EQ(first.work, (WorkTotals{3, 0, 10 * kUnit, 0}));
  EXPECT_EQ(first.work, second.work);
  EXPECT_EQ(first.peak, 8 * kUnit + 2 * kUnit);  // 100 floats take two units
  EXPECT_EQ(first.placement.reserved, 8 * kUnit);
  EXPECT_EQ(first.lifetimes.size(), 3u);
}

TEST(Rehearse, RefusesAnEpisodeThatKeepsSomething) {
  Runtime meta(Device{}.as_meta(), Runtime::kUnbounded);
  Tensor kept;
  EXPECT_THROW(rehearse([&] { kept = zeros({4}); }), InternalError);
}

TEST(Rehearse, RefusesAnEpisodeThatFreesWhatWasThere) {
  Runtime meta(Device{}.as_meta(), Runtime::kUnbounded);
  Tensor kept = zeros({4});
  EXPECT_THROW(rehearse([&] { kept = Tensor(); }), InternalError);
}

TEST(Rehearse, NeedsAMetaRuntime) {
  Runtime real({}, 1 << 20);
  EXPECT_THROW(rehearse([] {}), InternalError);
}

TEST(Rehearse, CanFollowOneThatThrew) {
  Runtime meta(Device{}.as_meta(), Runtime::kUnbounded);
  Tensor left;
  EXPECT_THROW(rehearse([&] {
                 Tensor a = zeros({4});
                 left = zeros({4});
                 throw Error("no");
               }),
               Error);
  Rehearsal again = rehearse([] { episode(1); });
  EXPECT_EQ(again.placement.reserved, 4 * kUnit);
  meta.arena.begin(again.placement);  // it notes no lifetimes any more
  meta.arena.abandon();
}

TEST(Rehearse, DoesNotTakeAnOlderTensorForOneOfItsOwn) {
  Runtime meta(Device{}.as_meta(), Runtime::kUnbounded);
  Tensor left;
  EXPECT_THROW(rehearse([&] { left = zeros({4}); }), InternalError);
  EXPECT_THROW(rehearse([&] { left = Tensor(); }), InternalError);
  EXPECT_EQ(rehearse([] { episode(1); }).lifetimes.size(), 3u);
}

TEST(Replay, TakesSmallerTensorsAtTheSamePlaces) {
  Placement placement = rehearsed([] { episode(4); });
  Runtime real({}, 1 << 20);
  for (int64_t units : {4, 2, 1, 3}) replay(placement, [&] { episode(units); });
  EXPECT_EQ(real.arena.use().reserved, placement.reserved);
  EXPECT_EQ(real.arena.use().live, 0);
}

TEST(Replay, RefusesALargerTensorAndOneMore) {
  Placement placement = rehearsed([] { episode(2); });
  Runtime real({}, 1 << 20);
  EXPECT_THROW(replay(placement, [] { episode(3); }), InternalError);
  EXPECT_THROW(replay(placement,
                      [] {
                        episode(2);
                        zeros({1});
                      }),
               InternalError);
  replay(placement, [] { episode(2); });
}

TEST(Replay, RefusesAnEpisodeWithinAnEpisode) {
  Placement placement = rehearsed([] { episode(1); });
  Runtime real({}, 1 << 20);
  EXPECT_THROW(replay(placement, [&] { replay(placement, [] {}); }), InternalError);
  replay(placement, [] { episode(1); });
}

TEST(Replay, RefusesAnEpisodeThatKeepsSomething) {
  Placement placement = rehearsed([] { episode(1); });
  Runtime real({}, 1 << 20);
  Tensor kept;
  EXPECT_THROW(replay(placement, [&] { kept = zeros({1}); }), InternalError);
}

TEST(Replay, LeavesTheArenaAsItWasWhenTheEpisodeThrows) {
  Placement placement = rehearsed([] { episode(1); });
  Runtime real({}, 1 << 20);
  Tensor kept = zeros({4});
  EXPECT_THROW(replay(placement,
                      [] {
                        Tensor a = zeros({kFloats});
                        throw Error("no");
                      }),
               Error);
  EXPECT_EQ(real.arena.use().live, kUnit);
  replay(placement, [] { episode(1); });
  EXPECT_EQ(real.arena.use().live, kUnit);
}

TEST(Replay, ForgetsWhatAnEpisodeThatThrewLeftBehind) {
  Placement placement = rehearsed([] { episode(1); });
  Runtime real({}, 1 << 20);
  Tensor left;
  EXPECT_THROW(replay(placement,
                      [&] {
                        left = zeros({kFloats});
                        throw Error("no");
                      }),
               Error);
  replay(placement, [&] {
    left = Tensor();  // released within the next episode, of which it is no part
    episode(1);
  });
  EXPECT_EQ(real.arena.use().live, 0);
}

TEST(Replay, StartsAboveWhatIsAliveNotAboveWhatWas) {
  Placement placement = rehearsed([] { episode(1); });
  Runtime real({}, 8 * kUnit);
  { Tensor passing = zeros({7 * kFloats}); }
  Tensor kept = zeros({2 * kFloats});
  replay(placement, [] { episode(1); });
  EXPECT_EQ(real.arena.use().reserved, 7 * kUnit);
}

TEST(Replay, SaysSoWhenThePlacementDoesNotFit) {
  Placement placement = rehearsed([] { episode(2); });
  Runtime real({}, 7 * kUnit);
  EXPECT_THROW(replay(placement, [] { episode(2); }), Error);
}

TEST(Replay, WritesEachTensorWhereItWasPlaced) {
  Placement placement = rehearsed([] { episode(1); });
  Runtime real({}, 1 << 20);
  Tensor kept = zeros({1});
  replay(placement, [&] {
    Tensor a = zeros({kFloats}), b = zeros({3 * kFloats});
    EXPECT_EQ(a.data<std::byte>() - real.arena.base(), kUnit + placement.offsets[0]);
    EXPECT_EQ(b.data<std::byte>() - real.arena.base(), kUnit + placement.offsets[1]);
    a = Tensor();
    Tensor c = zeros({kFloats});
  });
}

}  // namespace
}  // namespace lathe
