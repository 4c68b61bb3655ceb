#include "lathe/base/edited_line.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(EditedLine, InsertsAndErasesWholeCharacters) {
  EditedLine line;
  line.insert("aé日");
  line.move_left();
  line.erase_left();
  EXPECT_EQ(line.text(), "a日");
  line.insert("x");
  line.erase_right();
  EXPECT_EQ(line.text(), "ax");
  line.erase_right();
  line.move_home();
  line.erase_left();
  line.move_right();
  EXPECT_EQ(line.cursor(), 1u);
}

TEST(EditedLine, MovesAndErasesWords) {
  EditedLine line;
  line.insert("one two  three");
  line.move_word_left();
  EXPECT_EQ(line.cursor(), 9u);
  line.erase_word_left();
  EXPECT_EQ(line.text(), "one three");
  line.move_home();
  line.move_word_right();
  line.erase_to_end();
  EXPECT_EQ(line.text(), "one");
  line.erase_to_home();
  EXPECT_EQ(line.text(), "");
}

TEST(EditedLine, ShowsLinesTypedBeforeAndComesBack) {
  EditedLine line;
  line.remember("first");
  line.remember("second");
  line.remember("second");
  line.begin();
  line.insert("new");
  line.older();
  EXPECT_EQ(line.text(), "second");
  line.older();
  line.older();
  EXPECT_EQ(line.text(), "first");
  line.newer();
  line.newer();
  line.newer();
  EXPECT_EQ(line.text(), "new");
}

}  // namespace
}  // namespace lathe
