#include "lathe/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

class Log : public testing::Test {
 protected:
  Log() { set_log_level(LogLevel::info); }
  ~Log() override { set_log_level(before_); }

 private:
  LogLevel before_ = log_level();
};

TEST_F(Log, WritesToStandardErrorAndTheFile) {
  TemporaryDirectory directory;
  LogFile file(directory.path("log"));
  testing::internal::CaptureStderr();
  log_info("step ", 3, " of ", 10, " {}");
  log_warning("slow");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "step 3 of 10 {}\nwarning: slow\n");
  EXPECT_THAT(content_of(directory.path("log")),
              testing::ContainsRegex("[0-9-]+ [0-9:.]+ info step 3 of 10 \\{\\}\n.* warning slow\n"));
}

TEST_F(Log, DropsLinesBelowTheLevel) {
  testing::internal::CaptureStderr();
  log_debug("hidden");
  set_log_level(LogLevel::error);
  log_warning("hidden");
  log_error("shown");
  set_log_level(LogLevel::off);
  log_error("hidden");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "error: shown\n");
}

TEST_F(Log, SaysOnce) {
  testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) say_once("no AVX2: plain loops, much slower");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: no AVX2: plain loops, much slower\n");
}

TEST_F(Log, NamesAnUnknownLevel) {
  EXPECT_EQ(parse_log_level("warning"), LogLevel::warning);
  EXPECT_EQ(error_of([] { parse_log_level("warn"); }), "unknown log level 'warn'; did you mean 'warning'?");
}

TEST_F(Log, NamesAFileThatCannotBeWritten) {
  TemporaryDirectory directory;
  EXPECT_THAT(error_of([&] { LogFile{directory.path()}; }), testing::HasSubstr("cannot write the log"));
}

}  // namespace
}  // namespace lathe
