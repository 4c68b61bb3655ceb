#include "lathe/infer/stop_strings.h"

#include <gtest/gtest.h>

#include "tests/infer/infer_support.h"
#include "tests/support/error_of.h"

namespace lathe {
namespace {

/// What is shown of `pieces`, a bar between them; "!" where a stop string came.
std::string shown(std::vector<std::string> stops, const std::vector<std::string>& pieces) {
  StopStrings filter(std::move(stops));
  std::string all;
  for (const std::string& piece : pieces) all += filter.push(piece) + "|";
  return all + (filter.stopped() ? "!" : filter.finish());
}

TEST(StopStrings, ShowTextAsItComesWhereNothingCanStop) { EXPECT_EQ(shown({}, {"ab", "c"}), "ab|c|"); }

TEST(StopStrings, EndTheTextBeforeThem) {
  EXPECT_EQ(shown({"END"}, {"one END two"}), "one |!");
  EXPECT_EQ(shown({"END"}, {"END"}), "|!");
}

TEST(StopStrings, AreFoundAcrossPiecesAndNeverShownInPart) {
  EXPECT_EQ(shown({"END"}, {"one E", "N", "D two", "three"}), "one ||||!");
  EXPECT_EQ(shown({"aab"}, {"aa", "a", "b"}), "|a||!");
}

TEST(StopStrings, ShowWhatOnlyLookedLikeOne) {
  EXPECT_EQ(shown({"END"}, {"one E", "N", "T"}), "one ||ENT|");
  EXPECT_EQ(shown({"END"}, {"one EN"}), "one |EN");
}

TEST(StopStrings, EndAtTheOneOfSeveralThatIsCompleteFirst) {
  EXPECT_EQ(shown({"four", "two"}, {"one two three four"}), "one |!");
  EXPECT_EQ(shown({"xyz", "y"}, {"wxyz"}), "wx|!");
  EXPECT_EQ(shown({"xyz", "y"}, {"wx", "yz"}), "w|x|!");
  EXPECT_EQ(shown({"b", "ab"}, {"aab"}), "a|!");
}

TEST(StopStrings, GiveTheSameTextWhereverPiecesAreCut) {
  std::string whole =
      "a \xe2\x82\xac b ab\xe2\x82\xac\nxx";  // stop strings that begin and end in a character's bytes too
  for (const char* stop : {"\xe2\x82\xac\n", "\x82\xac\nx", "b ab", "xx", "b\xe2", "never"}) {
    std::string expected = whole.substr(0, whole.find(stop));
    for (size_t first = 0; first <= whole.size(); ++first)
      for (size_t second = first; second <= whole.size(); ++second) {
        StopStrings filter({stop, "not in it"});
        std::string text = filter.push(whole.substr(0, first));
        text += filter.push(whole.substr(first, second - first));
        text += filter.push(whole.substr(second));
        EXPECT_EQ(text + filter.finish(), expected) << first << ' ' << second;
      }
  }
}

TEST(StopStrings, AreNotEmpty) {
  EXPECT_EQ(error_of([] { StopStrings({"a", ""}); }), "a stop string must not be empty");
}

}  // namespace
}  // namespace lathe
