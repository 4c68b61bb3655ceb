#include "lathe/plan/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lathe {
namespace {

using testing::HasSubstr;

/// Two rounds of forward and backward, in each of which 100 and 300 bytes live at once, and a quiet update.
Rehearsal two_rounds() {
  Rehearsal rehearsal;
  rehearsal.lifetimes = {{100, 0, 3, Purpose::activations},
                         {300, 1, 2, Purpose::workspace},
                         {100, 4, 7, Purpose::activations},
                         {300, 5, 6, Purpose::workspace}};
  rehearsal.phases = {{"", 0, {}},        {"forward", 0, {}},  {"backward", 2, {}},
                      {"forward", 4, {}}, {"backward", 6, {}}, {"update", 8, {}}};
  return rehearsal;
}

BytesByPurpose kept() {
  BytesByPurpose bytes{};
  bytes[size_t(Purpose::weights)] = 1000;
  return bytes;
}

TEST(Timeline, ShowsTheLastRoundWithTheFullestMomentOfEachSlice) {
  std::vector<TimelineSlice> slices = timeline(two_rounds(), kept(), 4);
  ASSERT_EQ(slices.size(), 5u);
  EXPECT_EQ(slices[0].phase, "forward");
  EXPECT_EQ(slices[0].total, 1100);
  EXPECT_EQ(slices[1].total, 1400);
  EXPECT_EQ(slices[2].phase, "backward");
  EXPECT_EQ(slices[2].total, 1400);
  EXPECT_EQ(slices.back().phase, "update");
  EXPECT_EQ(slices.back().total, 1000);
}

TEST(Timeline, DrawsALetterForEachPurpose) {
  std::string drawn = draw_timeline(timeline(two_rounds(), kept(), 4), 14);
  EXPECT_THAT(drawn, HasSubstr("w weights, a activations, s workspace"));
  EXPECT_THAT(drawn, HasSubstr("wwwwwwwwwwasss\n"));
  EXPECT_THAT(drawn, HasSubstr("wwwwwwwwww\n"));
}

TEST(Timeline, TellsWhatThePeakHolds) {
  Rehearsal rehearsal = two_rounds();
  rehearsal.lifetimes.push_back({100, 5, 7, Purpose::activations});
  std::vector<PeakPiece> pieces = pieces_at_peak(rehearsal);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0].purpose, Purpose::workspace);
  EXPECT_EQ(pieces[1].count, 2);
  EXPECT_EQ(pieces[1].bytes, 100);
}

}  // namespace
}  // namespace lathe
