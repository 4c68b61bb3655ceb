#include "lathe/base/file_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using testing::HasSubstr;

TEST(DirectoryLock, NamesTheHolder) {
  TemporaryDirectory directory;
  DirectoryLock lock(directory.path("run"));
  EXPECT_THAT(error_of([&] { DirectoryLock{directory.path("run")}; }),
              HasSubstr(text("run is in use by process ", getpid(), ";")));
}

TEST(DirectoryLock, IsFreeAgainAfterItsHolder) {
  TemporaryDirectory directory;
  { DirectoryLock lock(directory.path("run")); }
  DirectoryLock again(directory.path("run"));
}

TEST(DirectoryLock, IsFreeAgainAfterItsHolderWasKilled) {
  TemporaryDirectory directory;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    DirectoryLock lock(directory.path("run"));
    if (write(ready[1], "x", 1) == 1) pause();
    _exit(1);
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THAT(error_of([&] { DirectoryLock{directory.path("run")}; }), HasSubstr(text("process ", child)));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  DirectoryLock again(directory.path("run"));
  close(ready[0]);
  close(ready[1]);
}

TEST(DirectoryLock, SaysWhyADirectoryCannotBeMade) {
  TemporaryDirectory directory;
  directory.file("a", "");
  EXPECT_THAT(error_of([&] { DirectoryLock{directory.path("a/b")}; }), HasSubstr("cannot make directory"));
}

}  // namespace
}  // namespace lathe
