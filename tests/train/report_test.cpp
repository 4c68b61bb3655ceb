#include "lathe/train/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using testing::HasSubstr;
using testing::Not;

StepReport step_report(int64_t step, double loss = 3) {
  return {.step = step,
          .loss = loss,
          .learning_rate = 1e-3,
          .gradient_norm = 1,
          .seconds = 0.5,
          .tokens_per_second = 200,
          .flop_use = 0.5,
          .tokens = 100 * step};
}

/// A log as training writes it, and the page made of it.
class Report : public testing::Test {
 protected:
  RunLog begin(int64_t step = 0) {
    RunLog log(folder.path("run"), step, false);
    BytesByPurpose bytes{};
    bytes[0] = 3 << 20;
    log.start(step, 1'234'567, 3 << 20, bytes);
    return log;
  }
  void SetUp() override { std::filesystem::create_directory(folder.path("run")); }
  std::string page() const { return report_page(read_run(folder.path("run"))); }
  std::string log_path() const { return folder.path("run/log.jsonl"); }

  TemporaryDirectory folder;
};

TEST_F(Report, TellsOfAFinishedRun) {
  RunLog log = begin();
  for (int64_t step = 1; step <= 4; ++step) log.step(step_report(step, 5 - double(step)));
  log.evaluation({.step = 4, .loss = 2, .bits_per_byte = 0.75, .tokens = 1000, .seconds = 1});
  log.sample(4, "Once", " upon a time");
  log.saved(4, 0.1, 1000);
  log.end(4, "finished", 0.1, 2);
  std::string html = page();
  EXPECT_THAT(html, HasSubstr("<title>run</title>"));
  EXPECT_THAT(html, HasSubstr("finished at step 4"));
  EXPECT_THAT(html, HasSubstr("<b>2.500</b><span>loss, last 20 steps"));
  EXPECT_THAT(html, HasSubstr("<b>7.39</b><span>held-out perplexity"));
  EXPECT_THAT(html, HasSubstr("<b>0.750</b><span>bits per byte"));
  EXPECT_THAT(html, HasSubstr("<b>200</b><span>tokens a second"));
  EXPECT_THAT(html, HasSubstr("<span class=\"prompt\">Once</span> upon a time"));
  EXPECT_THAT(html, HasSubstr("checkpoint saved"));
  EXPECT_THAT(html, HasSubstr("3.0 MiB"));
  EXPECT_THAT(html, HasSubstr(this_machine().program));
}

TEST_F(Report, LoadsNothingAndRunsNothing) {
  begin().step(step_report(1));
  for (const char* word : {"<script", "<link", "<img", "src=", "href=", "@import", "url("})
    EXPECT_THAT(page(), Not(HasSubstr(word)));
}

TEST_F(Report, ShowsARunWithoutAnyStep) {
  begin();
  std::string html = page();
  EXPECT_THAT(html, HasSubstr("not ended: step 0"));
  EXPECT_THAT(html, HasSubstr("nothing logged yet"));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST_F(Report, LeavesOutWhatARunWithoutEvaluationLacks) {
  begin().step(step_report(1));
  for (const char* words : {"held out", "held-out", "What the model wrote", "nan"})
    EXPECT_THAT(page(), Not(HasSubstr(words)));
}

TEST_F(Report, LeavesOutAFlopUseThatIsNotKnown) {
  StepReport step = step_report(1);
  step.flop_use = INFINITY;
  begin().step(step);
  EXPECT_THAT(page(), Not(HasSubstr("FLOP use")));
}

TEST_F(Report, ShowsWhereUpdatesWereLeftOut) {
  RunLog log = begin();
  log.step(step_report(1));
  StepReport bad = step_report(2, NAN);
  bad.left_out = "the loss or a gradient is not finite";
  log.step(bad);
  std::string html = page();
  EXPECT_THAT(html, HasSubstr("not ended: step 2, where the loss or a gradient is not finite"));
  EXPECT_THAT(html, HasSubstr("update left out: the loss or a gradient is not finite"));
  EXPECT_THAT(html, HasSubstr("<b>3.000</b><span>loss, last 20 steps"));
  EXPECT_THAT(html, Not(HasSubstr(">nan<")));
}

TEST_F(Report, ShowsARunWhoseLossIsNeverANumber) {
  begin().step(step_report(1, NAN));
  EXPECT_THAT(page(), HasSubstr("<b>nan</b><span>loss, last 20 steps"));
}

TEST_F(Report, MarksWhereARunWasResumed) {
  {
    RunLog log = begin();
    for (int64_t step = 1; step <= 6; ++step) log.step(step_report(step));
    log.end(6, "interrupted", 0, 1);
  }
  EXPECT_THAT(page(), HasSubstr("interrupted at step 6"));
  RunLog log = begin(6);
  EXPECT_THAT(page(), HasSubstr("not ended: step 6"));
  log.step(step_report(7));
  std::string html = page();
  EXPECT_THAT(html, HasSubstr("resumed after step 6"));
  EXPECT_LT(html.find("interrupted; waited"), html.find("<td>resumed"));
  EXPECT_THAT(html, HasSubstr("not ended: step 7"));
}

TEST_F(Report, EscapesEveryTextOfTheRun) {
  std::filesystem::create_directory(folder.path("<b>&"));
  RunLog log(folder.path("<b>&"), 0, false);
  log.start(0, 1, 1, {});
  StepReport step = step_report(1);
  step.left_out = "<u>reason";
  log.step(step);
  log.sample(1, "<script>alert(1)</script>", "</pre><h1>\xff\x1b");
  log.end(1, "<i>why", 0, 1);
  std::string html = report_page(read_run(folder.path("<b>&/")));
  for (const char* raw : {"<b>&", "<u>", "<script", "</pre><h1>", "<i>", "\x1b", "\xff"})
    EXPECT_THAT(html, Not(HasSubstr(raw)));
  EXPECT_THAT(html, HasSubstr("<h1>&lt;b&gt;&amp;</h1>"));
}

TEST_F(Report, CutsALongSampleBetweenCharacters) {
  RunLog log = begin();
  std::string long_text = "a";
  for (int i = 0; i < 3000; ++i) long_text += "\xc3\xa9";
  log.sample(1, "", long_text);
  EXPECT_THAT(page(), HasSubstr("(2,002 more bytes)"));
  EXPECT_THAT(page(), Not(HasSubstr("\xef\xbf\xbd")));
}

TEST_F(Report, LeavesOutALastLineThatWasCutOff) {
  begin().step(step_report(1));
  std::ofstream(log_path(), std::ios::app) << "{\"event\": \"step\", \"st";
  EXPECT_THAT(page(), HasSubstr("not ended: step 1"));
}

TEST_F(Report, NamesTheLineOfALogThatIsBroken) {
  begin();
  std::ofstream(log_path(), std::ios::app) << "{\"event\": 7, \"step\": 1}\n{\"event\": \"save\", \"step\": 1}\n";
  EXPECT_THAT(error_of([&] { page(); }), HasSubstr("log.jsonl line 2: "));
}

TEST_F(Report, SaysWhenADirectoryIsNoRun) {
  EXPECT_THAT(error_of([&] { read_run(folder.path("nothing")); }), HasSubstr("is no directory of a run"));
}

TEST_F(Report, ReadsALogThatTellsNothingOfTheMachine) {
  folder.file("run/log.jsonl",
              R"({"by_purpose":{"activations":1,"gradients":1,"kv_cache":0,"optimizer":1,"weights":1,"workspace":1},)"
              R"("event":"start","memory":5,"parameters":2,"step":0})"
              "\n");
  EXPECT_THAT(page(), Not(HasSubstr("<h2>Machine</h2>")));
}

TEST_F(Report, NamesWhatIsWrongWithTheJob) {
  begin();
  folder.file("run/job.toml", "[model]\nhiden_size = 3\n");
  EXPECT_THAT(error_of([&] { page(); }), HasSubstr("hiden_size"));
}

TEST(SlowReport, IsBelowOneMegabyteForALongRun) {
  TemporaryDirectory folder;
  RunLog log(folder.path(), 0, false);
  log.start(0, 1, 1, {});
  for (int64_t step = 1; step <= 20'000; ++step) {
    log.step(step_report(step, 3 + std::sin(double(step * step))));
    log.saved(step, 1, 1);
    if (step % 10 == 0) log.sample(step, "prompt", std::string(3000, 'x'));
  }
  EXPECT_LT(report_page(read_run(folder.path())).size(), 1'000'000u);
}

}  // namespace
}  // namespace lathe
