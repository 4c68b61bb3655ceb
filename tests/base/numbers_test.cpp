#include "lathe/base/numbers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

TEST(ParseInt, TakesTheWholeText) {
  EXPECT_EQ(parse_int("-42", "x"), -42);
  EXPECT_EQ(parse_int("+7", "x"), 7);
  for (const char* bad : {"", " 1", "1 ", "1.0", "0x10", "9223372036854775808", "++1", "+-1"})
    EXPECT_FALSE(try_parse_int(bad)) << bad;
}

TEST(ParseInt, QuotesWhatIsNoNumber) {
  EXPECT_EQ(error_of([] { parse_int("ten", "--seed"); }), "--seed: 'ten' is not a whole number");
}

TEST(ParseFloat, TakesFiniteNumbersOnly) {
  EXPECT_EQ(parse_float("3e-4", "x"), 3e-4);
  EXPECT_EQ(parse_float("3", "x"), 3);
  for (const char* bad : {"nan", "inf", "1e999", "1,5", "0x1p3", ""}) EXPECT_FALSE(try_parse_float(bad)) << bad;
}

TEST(ParseBytes, KnowsUnits) {
  EXPECT_EQ(parse_bytes("8GiB", "x"), int64_t{8} << 30);
  EXPECT_EQ(parse_bytes("8G", "x"), int64_t{8} << 30);
  EXPECT_EQ(parse_bytes("1.5 kB", "x"), 1500);
  EXPECT_EQ(parse_bytes("1.5KiB", "x"), 1536);
  EXPECT_EQ(parse_bytes("9007199254740993", "x"), 9007199254740993);
  EXPECT_EQ(parse_bytes("0", "x"), 0);
}

TEST(ParseBytes, RejectsOtherText) {
  for (const char* bad : {"", "GiB", "-1", "8 GiBs", "8Gb", "1e3", "99999999PiB", "1..5G"})
    EXPECT_NE(error_of([&] { parse_bytes(bad, "--budget"); }), "") << bad;
}

TEST(FormatFloat, RoundTrips) {
  EXPECT_EQ(format_float(3e-4), "0.0003");
  EXPECT_EQ(format_float(1e-5), "1e-05");
  EXPECT_EQ(format_float(0.0), "0");
  EXPECT_EQ(format_float(0.1f), "0.1");
  EXPECT_EQ(format_float(3.0), "3");
  EXPECT_EQ(parse_float(format_float(0.1 + 0.2), "x"), 0.1 + 0.2);
}

TEST(FormatBytes, PicksAUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(int64_t{3} << 29), "1.5 GiB");
  EXPECT_EQ(format_bytes(500 << 20), "500 MiB");
}

TEST(FormatCount, GroupsDigits) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_count(-123456), "-123,456");
}

TEST(FormatShortCount, PicksAUnit) {
  EXPECT_EQ(format_short_count(999), "999");
  EXPECT_EQ(format_short_count(12345), "12.3k");
  EXPECT_EQ(format_short_count(124439808), "124.4M");
  EXPECT_EQ(format_short_count(1.1e9), "1.10B");
  EXPECT_EQ(format_short_count(999999), "1.00M");
}

TEST(FormatDuration, PicksUnits) {
  EXPECT_EQ(format_duration(0.85), "850 ms");
  EXPECT_EQ(format_duration(12.34), "12.3 s");
  EXPECT_EQ(format_duration(59.96), "1m00s");
  EXPECT_EQ(format_duration(245), "4m05s");
  EXPECT_EQ(format_duration(3720), "1h02m");
  EXPECT_EQ(format_duration(183600), "2d03h");
}

}  // namespace
}  // namespace lathe
