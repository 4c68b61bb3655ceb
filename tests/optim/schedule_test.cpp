#include "lathe/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lathe {
namespace {

using Curve = ScheduleSettings::Curve;

TEST(Schedule, RisesInALineToThePeak) {
  ScheduleSettings schedule{.warmup_steps = 4};
  EXPECT_DOUBLE_EQ(learning_rate_factor(schedule, 0, 100), 0.25);
  EXPECT_DOUBLE_EQ(learning_rate_factor(schedule, 2, 100), 0.75);
  EXPECT_DOUBLE_EQ(learning_rate_factor(schedule, 4, 100), 1);
}

TEST(Schedule, EveryFallingCurveEndsAtTheFinalFraction) {
  for (Curve curve : {Curve::cosine, Curve::linear, Curve::wsd}) {
    ScheduleSettings schedule{.curve = curve, .warmup_steps = 10, .final_fraction = 0.2};
    EXPECT_NEAR(learning_rate_factor(schedule, 99, 100), 0.2, 1e-12);
  }
}

TEST(Schedule, CosineAndLineAreHalfwayInTheMiddle) {
  ScheduleSettings schedule{.final_fraction = 0};
  EXPECT_NEAR(learning_rate_factor(schedule, 50, 101), 0.5, 1e-12);
  schedule.curve = Curve::linear;
  EXPECT_NEAR(learning_rate_factor(schedule, 50, 101), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate_factor(schedule, 25, 101), 0.75, 1e-12);
}

TEST(Schedule, ConstantStays) { EXPECT_DOUBLE_EQ(learning_rate_factor({.curve = Curve::constant}, 99, 100), 1); }

TEST(Schedule, WsdStaysAndThenFallsByTheRoot) {
  ScheduleSettings schedule{.curve = Curve::wsd, .cooldown_steps = 21, .final_fraction = 0};
  EXPECT_DOUBLE_EQ(learning_rate_factor(schedule, 79, 100), 1);
  EXPECT_NEAR(learning_rate_factor(schedule, 84, 100), 1 - std::sqrt(0.25), 1e-12);
}

}  // namespace
}  // namespace lathe
