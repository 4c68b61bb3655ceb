#include "lathe/base/utf8.h"

#include <gtest/gtest.h>

#include <random>

namespace lathe {
namespace {

constexpr const char* kInvalidTexts[] = {
    "\xff", "\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "abc\xe2\x82", "\xf0\x80\x80\x80"};

TEST(Utf8, ValidatesText) {
  EXPECT_TRUE(valid_utf8(""));
  EXPECT_TRUE(valid_utf8("a\u00e9\u20ac\U0001F600"));
  for (const char* bad : kInvalidTexts) EXPECT_FALSE(valid_utf8(bad));
}

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_EQ(first_invalid_utf8("abc"), 3u);
  EXPECT_EQ(first_invalid_utf8("a\u20ac\xffz"), 4u);
  EXPECT_EQ(first_invalid_utf8("abc\xe2\x82"), 3u);
}

TEST(Utf8, IteratesCharacters) {
  std::u32string seen;
  std::string again;
  for (CodePoint c : CodePoints("a\u00e9\u20ac\U0001F600")) {
    seen += c.value;
    append_utf8(again, c.value);
  }
  EXPECT_EQ(seen, U"a\u00e9\u20ac\U0001F600");
  EXPECT_EQ(again, "a\u00e9\u20ac\U0001F600");
}

TEST(Utf8, WritesAndReadsEveryCharacter) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c == 0xD800) c = 0xE000;
    std::string one;
    append_utf8(one, c);
    ASSERT_EQ(code_point_at(one, 0).value, c);
    ASSERT_EQ(code_point_at(one, 0).bytes, one.size());
  }
}

TEST(Utf8, ReplacesInvalidBytes) {
  EXPECT_EQ(lossy_utf8("a\xff\u00e9"), "a\uFFFD\u00e9");
  EXPECT_EQ(lossy_utf8("\xe2\x82x"), "\uFFFDx");                // one for a character cut short
  EXPECT_EQ(lossy_utf8("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate: no byte starts anything
  EXPECT_EQ(lossy_utf8("\xf0\x80\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
}

TEST(Utf8, HoldsBackOnlyUnfinishedCharacters) {
  EXPECT_EQ(utf8_complete_prefix(""), 0u);
  EXPECT_EQ(utf8_complete_prefix("abc"), 3u);
  EXPECT_EQ(utf8_complete_prefix("a\xe2\x82"), 1u);
  EXPECT_EQ(utf8_complete_prefix("a\xe2\x82\xac"), 4u);
  EXPECT_EQ(utf8_complete_prefix("a\xf0\x9f\x98"), 1u);
  EXPECT_EQ(utf8_complete_prefix("a\xff"), 2u);
  EXPECT_EQ(utf8_complete_prefix("\x80\x80\x80\x80"), 4u);
  EXPECT_EQ(utf8_complete_prefix("a\xed\xa0"), 3u);  // a surrogate: nothing can complete it
}

TEST(Utf8, AgreesWithTheValidatorOnRandomBytes) {
  std::mt19937 random(1);
  const std::string alphabet("a\x80\xbf\xc2\xe0\xe2\xed\xf0\xf4\x9f\x82\xac\x90", 13);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (unsigned i = random() % 9; i > 0; --i) text += alphabet[random() % alphabet.size()];
    ASSERT_EQ(valid_utf8(text), first_invalid_utf8(text) == text.size());
    ASSERT_TRUE(valid_utf8(lossy_utf8(text)));
    bool all_valid = true;
    for (CodePoint c : CodePoints(text)) all_valid &= c.valid();
    ASSERT_EQ(all_valid, valid_utf8(text));
  }
}

TEST(Utf8, StreamsAnyTextWithoutSplittingACharacter) {
  std::string whole = "a\u00e9\u20ac\U0001F600z\xff\u20ac", pending, printed;
  for (char byte : whole) {
    pending += byte;
    size_t ready = utf8_complete_prefix(pending);
    EXPECT_LE(pending.size() - ready, 3u);
    printed += lossy_utf8(pending.substr(0, ready));
    pending.erase(0, ready);
  }
  EXPECT_EQ(printed, lossy_utf8(whole));
}

}  // namespace
}  // namespace lathe
