#include "lathe/base/durable_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// Lets this process write files of at most `bytes` each: a disk that fills up.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    before_signal_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, before_signal_);
  }

 private:
  rlimit before_{};
  void (*before_signal_)(int) = nullptr;
};

TEST(DurableFile, ReplacesAFileAtCommit) {
  TemporaryDirectory directory;
  std::string path = directory.file("a", "old");
  DurableFile file(path);
  file.write("----new");
  file.write_at(0, bytes_of("very"));
  EXPECT_EQ(content_of(path), "old");
  file.commit();
  EXPECT_EQ(content_of(path), "verynew");
  EXPECT_EQ(directory.entries(), 1);
}

TEST(DurableFile, LeavesTheOldFileWithoutCommit) {
  TemporaryDirectory directory;
  std::string path = directory.file("a", "old");
  { DurableFile(path).write("new"); }
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(directory.entries(), 1);
}

TEST(DurableFile, LeavesTheOldFileWhenTheDiskIsFull) {
  TemporaryDirectory directory;
  std::string path = directory.file("a", "old");
  std::string message;
  {
    FileSizeLimit limit(5000);
    message = error_of([&] { replace_file(path, std::string(10000, 'x')); });
  }
  EXPECT_THAT(message, HasSubstr(path + ": file too large; 5000 bytes written, 5000 more wanted"));
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(directory.entries(), 1);
}

TEST(DurableFile, NamesADirectoryThatIsMissing) {
  EXPECT_THAT(error_of([] { replace_file("/no/such/place/a", "x"); }), HasSubstr("cannot write /no/such/place/a"));
}

TEST(DurableFile, RejectsADirectory) {
  TemporaryDirectory directory;
  EXPECT_THAT(error_of([&] { replace_file(directory.path(), "x"); }), HasSubstr("it is a directory"));
}

TEST(AppendTo, SaysThatTheDiskIsFullAndWhatIsLeft) {
  std::ofstream full("/dev/full");
  EXPECT_THAT(error_of([&] { append_to(full, "/dev/full", "line"); }),
              AllOf(HasSubstr("cannot write /dev/full: no space left on device"), HasSubstr("free")));
}

TEST(PublishDirectory, RenamesAWholeDirectory) {
  TemporaryDirectory directory;
  std::string temporary = temporary_name(directory.path("final"));
  std::filesystem::create_directories(temporary + "/inner");
  directory.file(std::filesystem::path(temporary).filename().string() + "/inner/a", "text");
  publish_directory(temporary, directory.path("final"));
  EXPECT_EQ(content_of(directory.path("final/inner/a")), "text");
  EXPECT_EQ(directory.entries(), 1);
}

TEST(PublishDirectory, KeepsADirectoryThatExists) {
  TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path("final"));
  directory.file("final/a", "old");
  std::filesystem::create_directory(directory.path("temporary"));
  EXPECT_THAT(error_of([&] { publish_directory(directory.path("temporary"), directory.path("final")); }),
              HasSubstr("exists already"));
  EXPECT_EQ(content_of(directory.path("final/a")), "old");
}

TEST(RemovePartials, RemovesOnlyWhatWasLeftOver) {
  TemporaryDirectory directory;
  directory.file("kept", "");
  directory.file(".hidden", "");
  directory.file(std::filesystem::path(temporary_name("a")).filename(), "");
  std::filesystem::create_directory(temporary_name(directory.path("b")));
  remove_partials(directory.path());
  EXPECT_EQ(directory.entries(), 2);
}

TEST(FreeBytes, AsksTheNearestExistingParent) { EXPECT_GT(free_bytes("not/yet/there"), 0); }

TEST(RequireFreeBytes, SaysWhatIsWantedAndWhatIsFree) {
  EXPECT_THAT(error_of([] { require_free_bytes("/tmp", int64_t{1} << 60, "three checkpoints"); }),
              testing::AllOf(HasSubstr("/tmp: three checkpoints needs 1024 PiB"), HasSubstr("are free")));
}

}  // namespace
}  // namespace lathe
