#include "lathe/base/console.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/base/file_descriptor.h"
#include "lathe/base/progress.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using testing::HasSubstr;

/// A console whose output is a file.
class WrittenConsole {
 public:
  explicit WrittenConsole(bool terminal)
      : file_(::open(directory_.path("out").c_str(), O_WRONLY | O_CREAT, 0600)), console(file_.number(), terminal) {}
  std::string content() const { return content_of(directory_.path("out")); }

 private:
  TemporaryDirectory directory_;
  FileDescriptor file_;

 public:
  Console console;
};

TEST(Console, PrintsLinesAboveTheStatus) {
  WrittenConsole out(true);
  out.console.set_status("50%");
  out.console.print("a line");
  out.console.set_status("");
  EXPECT_EQ(out.content(), "\r\x1b[K50%\r\x1b[Ka line\n50%\r\x1b[K");
}

TEST(Console, HasNoStatusOffATerminal) {
  WrittenConsole out(false);
  out.console.set_status("50%");
  out.console.print("a line\n");
  EXPECT_EQ(out.content(), "a line\n");
}

TEST(Console, CutsTheStatusToTheWidth) {
  WrittenConsole out(true);
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "\u00e9";
  out.console.set_status(wide);
  EXPECT_EQ(out.content(), "\r\x1b[K" + wide.substr(0, 79 * 2));
}

TEST(ProgressLine, ShowsShareRateAndTimeLeft) {
  ProgressOptions options{.what = "reading", .unit = "bytes", .total = 4 << 20};
  EXPECT_EQ(progress_line(options, 1 << 20, 2, "3 files"),
            "reading  25%  1.0 MiB of 4.0 MiB  512 KiB/s  6.0 s left  3 files");
}

TEST(ProgressLine, NeedsNoTotal) {
  EXPECT_EQ(progress_line({.what = "counting", .unit = "words"}, 12000, 10, ""), "counting  12,000  1.20k words/s");
}

TEST(ProgressLine, LeavesWhatWasDoneBeforeOutOfTheRate) {
  ProgressOptions options{.what = "step", .unit = "steps", .total = 100, .first = 50};
  EXPECT_EQ(progress_line(options, 60, 5, ""), "step  60%  60 of 100  2.00 steps/s  20.0 s left");
}

TEST(Progress, RedrawsOnATerminalAndCleansUp) {
  WrittenConsole out(true);
  {
    Progress progress({.what = "step", .total = 10, .redraw_seconds = 1000, .console = &out.console});
    progress.update(1);
    EXPECT_FALSE(progress.due());
    progress.update(2);
  }
  EXPECT_THAT(out.content(), HasSubstr("step  10%  1 of 10"));
  EXPECT_THAT(out.content(), testing::Not(HasSubstr("20%")));
  EXPECT_TRUE(out.content().ends_with("\r\x1b[K"));
}

TEST(Progress, PrintsPlainLinesNowAndThenElsewhere) {
  WrittenConsole out(false);
  Progress rare({.what = "rare", .total = 10, .plain_seconds = 1000, .console = &out.console});
  Progress often({.what = "often", .total = 10, .plain_seconds = 0, .console = &out.console});
  rare.update(5);
  often.update(5, "detail");
  EXPECT_THAT(out.content(), testing::StartsWith("often  50%  5 of 10"));
  EXPECT_TRUE(out.content().ends_with("  detail\n"));
}

}  // namespace
}  // namespace lathe
