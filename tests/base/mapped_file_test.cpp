#include "lathe/base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using testing::HasSubstr;

TEST(MappedFile, ShowsTheBytesOfTheFile) {
  TemporaryDirectory directory;
  MappedFile file(directory.file("a", "some bytes"));
  EXPECT_EQ(file.view(), "some bytes");
  EXPECT_EQ(file.size(), 10);
}

TEST(MappedFile, AcceptsAnEmptyFile) {
  TemporaryDirectory directory;
  MappedFile file(directory.file("a", ""));
  EXPECT_TRUE(file.bytes().empty());
  file.advise(MappedFile::Access::random);
}

TEST(MappedFile, NamesAMissingFile) {
  EXPECT_THAT(error_of([] { MappedFile("/no/such/file"); }), HasSubstr("/no/such/file: no such file or directory"));
}

TEST(MappedFile, RejectsADirectory) {
  TemporaryDirectory directory;
  EXPECT_THAT(error_of([&] { MappedFile{directory.path()}; }), HasSubstr("it is a directory"));
}

TEST(MappedFile, RejectsADevice) {
  EXPECT_THAT(error_of([] { MappedFile("/dev/null"); }), HasSubstr("not a regular file"));
}

TEST(MappedFile, MovesItsMapping) {
  TemporaryDirectory directory;
  MappedFile first(directory.file("a", "abc"));
  MappedFile second(std::move(first));
  MappedFile third(directory.file("b", "xyz"));
  third = std::move(second);
  EXPECT_EQ(third.view(), "abc");
}

TEST(MappedFile, KeepsItsBytesAfterAdviceAndReplacement) {
  TemporaryDirectory directory;
  std::string path = directory.file("a", std::string(10000, 'x'));
  MappedFile file(path, MappedFile::Access::sequential);
  file.prefetch(5000, 100000);
  file.forget(0, 10000);
  std::filesystem::rename(directory.file("b", "new"), path);
  EXPECT_EQ(file.view(), std::string(10000, 'x'));
}

}  // namespace
}  // namespace lathe
