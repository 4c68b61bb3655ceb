#include "lathe/tokenize/packed_texts.h"

#include <gtest/gtest.h>

namespace lathe::tokenize {
namespace {

TEST(PackedTexts, KeepsTextsThatComeInAnyOrder) {
  PackedTexts texts;
  texts.set(3, "drei");
  texts.set(0, "");
  texts.set(1, std::string_view("a\0b", 3));
  texts.shrink_to_fit();
  ASSERT_EQ(texts.size(), 4u);
  EXPECT_EQ(texts[0], "");
  EXPECT_EQ(texts[1], std::string_view("a\0b", 3));
  EXPECT_EQ(texts[2], "");
  EXPECT_EQ(texts[3], "drei");
}

}  // namespace
}  // namespace lathe::tokenize
