#include "lathe/base/text_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/base/line_reader.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using namespace std::string_view_literals;
using testing::AllOf;
using testing::HasSubstr;

// "hello\nworld\n" by gzip and by zstd --check.
constexpr std::string_view kGzip =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\xe7\x2a\xcf\x2f\xca\x49\xe1\x02\x00\xff\x5d\xc5\xc4"
    "\x0c\x00\x00\x00"sv;
constexpr std::string_view kZstd =
    "\x28\xb5\x2f\xfd\x04\x58\x61\x00\x00\x68\x65\x6c\x6c\x6f\x0a\x77\x6f\x72\x6c\x64\x0a\xb5\x0e\x87\x17"sv;
// A million times "x" by zstd.
constexpr std::string_view kLongZstd =
    "\x28\xb5\x2f\xfd\x04\x58\x54\x00\x00\x10\x78\x78\x01\x00\xfb\xff\x39\xc0\x02\x02\x00\x10\x78\x02\x00\x10\x78\x02"
    "\x00\x10\x78\x02\x00\x10\x78\x02\x00\x10\x78\x02\x00\x10\x78\x03\x12\x0a\x78\x14\xdc\x9a\x6b"sv;

std::string repeated(std::string_view part, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += part;
  return all;
}

TEST(TextInput, ReadsPlainGzipAndZstdAlike) {
  TemporaryDirectory directory;
  for (std::string_view content : {"hello\nworld\n"sv, kGzip, kZstd})
    EXPECT_EQ(read_text(directory.file("a", content)), "hello\nworld\n");
}

TEST(TextInput, ReadsManyMembersAndFramesAcrossChunks) {
  TemporaryDirectory directory;
  std::string expected = repeated("hello\nworld\n", 20000);
  EXPECT_EQ(read_text(directory.file("a.gz", repeated(kGzip, 20000))), expected);
  EXPECT_EQ(read_text(directory.file("a.zst", repeated(kZstd, 20000))), expected);
}

TEST(TextInput, ReadsMoreOutThanFitsItsInput) {
  TemporaryDirectory directory;
  EXPECT_EQ(read_text(directory.file("a.zst", kLongZstd)), std::string(1000000, 'x'));
}

TEST(TextInput, FillsTheCallersBufferAndCountsTheFilesBytes) {
  TemporaryDirectory directory;
  TextInput input(directory.file("a.gz", kGzip));
  std::string some(7, ' ');
  EXPECT_EQ(input.read(some), 7);
  EXPECT_EQ(some, "hello\nw");
  EXPECT_EQ(input.read(some), 5);
  EXPECT_EQ(input.read(some), 0);
  EXPECT_EQ(input.file_bytes(), int64_t(kGzip.size()));
  EXPECT_EQ(input.file_position(), int64_t(kGzip.size()));
}

TEST(TextInput, AcceptsAnEmptyFileAndZerosAfterGzip) {
  TemporaryDirectory directory;
  EXPECT_EQ(read_text(directory.file("a.txt", "")), "");
  EXPECT_EQ(read_text(directory.file("a.gz", std::string(kGzip) + std::string(300000, '\0'))), "hello\nworld\n");
}

TEST(TextInput, NamesAFileThatIsCutShort) {
  TemporaryDirectory directory;
  for (size_t cut = 4; cut < kGzip.size(); ++cut)
    EXPECT_THAT(error_of([&] { read_text(directory.file("a.gz", kGzip.substr(0, cut))); }),
                AllOf(HasSubstr("a.gz: gzip data is truncated"), HasSubstr(text("after ", cut, " bytes"))));
  for (size_t cut = 4; cut < kZstd.size(); ++cut)
    EXPECT_THAT(error_of([&] { read_text(directory.file("a.zst", kZstd.substr(0, cut))); }),
                HasSubstr("a.zst: zstd data is truncated"));
}

TEST(TextInput, NamesAFileThatIsCorrupt) {
  TemporaryDirectory directory;
  std::string gzip(kGzip), zstd(kZstd);
  gzip[26] = char(gzip[26] ^ 1);
  zstd[22] = char(zstd[22] ^ 1);
  EXPECT_THAT(error_of([&] { read_text(directory.file("a.gz", gzip)); }), HasSubstr("a.gz: corrupt gzip data at byte"));
  EXPECT_THAT(error_of([&] { read_text(directory.file("a.zst", zstd)); }),
              HasSubstr("a.zst: corrupt zstd data at byte"));
}

TEST(TextInput, RejectsGarbageAfterGzip) {
  TemporaryDirectory directory;
  EXPECT_THAT(error_of([&] { read_text(directory.file("a.gz", std::string(kGzip) + "garbage")); }),
              HasSubstr("corrupt gzip"));
}

TEST(TextInput, RejectsANameThatLies) {
  TemporaryDirectory directory;
  EXPECT_THAT(error_of([&] { TextInput{directory.file("a.gz", "plain")}; }), HasSubstr("not gzip data"));
  EXPECT_THAT(error_of([&] { TextInput{directory.file("a.zst", "")}; }), HasSubstr("not zstd data"));
}

TEST(ReadText, RefusesMoreThanItsLimit) {
  TemporaryDirectory directory;
  EXPECT_THAT(error_of([&] { read_text(directory.file("bomb.zst", repeated(kLongZstd, 100)), 5000000); }),
              HasSubstr("larger than the 5000000 bytes"));
}

TEST(LineReader, GivesLinesWithoutTheirEnds) {
  TemporaryDirectory directory;
  LineReader lines(directory.file("a", "one\r\n\ntwo\nlast"));
  std::vector<std::string> seen;
  for (std::string_view line; lines.next(line);) seen.emplace_back(line);
  EXPECT_EQ(seen, (std::vector<std::string>{"one", "", "two", "last"}));
  EXPECT_EQ(lines.number(), 4);
}

TEST(LineReader, GivesLinesLongerThanItsBuffer) {
  TemporaryDirectory directory;
  LineReader lines(directory.file("a", std::string(2000000, 'a') + "\n" + std::string(700000, 'b') + "\n"));
  std::string_view line;
  ASSERT_TRUE(lines.next(line));
  EXPECT_EQ(line, std::string(2000000, 'a'));
  ASSERT_TRUE(lines.next(line));
  EXPECT_EQ(line, std::string(700000, 'b'));
  EXPECT_FALSE(lines.next(line));
}

TEST(LineReader, NamesALineThatIsTooLong) {
  TemporaryDirectory directory;
  for (int length : {1001, 1000000})
    EXPECT_THAT(error_of([&] {
                  LineReader lines(directory.file("a", "ok\n" + std::string(size_t(length), 'a') + "\n"), 1000);
                  for (std::string_view line; lines.next(line);) continue;
                }),
                HasSubstr("/a:2: a line"));
}

}  // namespace
}  // namespace lathe
