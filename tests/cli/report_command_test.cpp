#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"

namespace lathe::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// Lines as a run of one step writes them.
constexpr const char* kLog = R"({"event":"start","step":0,"parameters":2,"memory":6,"by_purpose":)"
                             R"({"activations":1,"gradients":1,"kv_cache":0,"optimizer":1,"weights":1,"workspace":1}}
{"event":"step","step":1,"loss":4.5,"learning_rate":0.001,"gradient_norm":null,"seconds":1,"tokens_per_second":64,"flop_use":0,"tokens":64}
)";

TEST(ReportCommand, WritesThePageIntoTheRun) {
  TemporaryDirectory run;
  run.file("log.jsonl", kLog);
  ProgramResult result = run_lathe({"report", run.path()});
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_EQ(result.output, "written to " + run.path("report.html") + "\n");
  EXPECT_THAT(content_of(run.path("report.html")), StartsWith("<!DOCTYPE html>"));
}

TEST(ReportCommand, WritesPageAndCurvesWhereItIsTold) {
  TemporaryDirectory run, elsewhere;
  run.file("log.jsonl", kLog);
  ProgramResult result =
      run_lathe({"report", run.path(), "--out", elsewhere.path("a.html"), "--svg", elsewhere.path("b.svg")});
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_THAT(content_of(elsewhere.path("a.html")), HasSubstr("</html>"));
  EXPECT_THAT(content_of(elsewhere.path("b.svg")), StartsWith("<svg "));
  EXPECT_EQ(run.entries(), 1);
}

TEST(ReportCommand, SaysWhatIsWrong) {
  TemporaryDirectory run;
  EXPECT_EQ(run_lathe({"report"}).status, 2);
  ProgramResult nothing = run_lathe({"report", run.path("nothing")});
  EXPECT_EQ(nothing.status, 1);
  EXPECT_THAT(nothing.errors, HasSubstr("nothing is no directory of a run"));
  run.file("log.jsonl", kLog);
  ProgramResult nowhere = run_lathe({"report", run.path(), "--out", run.path("nowhere/report.html")});
  EXPECT_EQ(nowhere.status, 1);
  EXPECT_THAT(nowhere.errors, HasSubstr("nowhere/report.html"));
}

}  // namespace
}  // namespace lathe::cli
