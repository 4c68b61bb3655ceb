#include "lathe/base/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace lathe {
namespace {

const std::vector<std::string> kNames = {"learning_rate", "weight_decay", "warmup_steps", "seed"};

TEST(EditDistance, CountsEdits) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("form", "from"), 1);
  EXPECT_EQ(edit_distance("same", "same"), 0);
}

TEST(Nearest, FindsTheNameThatWasMeant) {
  EXPECT_EQ(nearest("learning_rat", kNames), "learning_rate");
  EXPECT_EQ(nearest("Learning-Rate", kNames), "learning_rate");
  EXPECT_EQ(nearest("sede", kNames), "seed");
  EXPECT_EQ(nearest("warmup", kNames), "warmup_steps");
  EXPECT_EQ(nearest("tokenizer", kNames), std::nullopt);
}

TEST(DidYouMean, EndsAMessage) {
  EXPECT_EQ(did_you_mean("weigth_decay", kNames), "; did you mean 'weight_decay'?");
  EXPECT_EQ(did_you_mean("zzz", kNames), "; known are learning_rate, weight_decay, warmup_steps, seed");
  EXPECT_EQ(did_you_mean("zzz", {}), "");
}

}  // namespace
}  // namespace lathe
