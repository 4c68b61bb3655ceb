#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

#include "tests/support/program.h"

namespace lathe::cli {
namespace {

using testing::HasSubstr;

struct Outcome {
  int status = -1;
  std::string output;  // both streams
};

/// Runs `lathe` with these words of a shell.
Outcome run(const std::string& arguments, const std::string& environment = "") {
  FILE* pipe = popen((environment + " '" + lathe_program() + "' " + arguments + " 2>&1").c_str(), "r");
  Outcome outcome;
  std::array<char, 4096> chunk;
  for (size_t count; (count = fread(chunk.data(), 1, chunk.size(), pipe)) > 0;)
    outcome.output.append(chunk.data(), count);
  outcome.status = WEXITSTATUS(pclose(pipe));
  return outcome;
}

TEST(Program, SaysItsVersionBuildAndInstructionSet) {
  Outcome outcome = run("--version", "LATHE_ISA=plain OMP_NUM_THREADS=3");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.output, testing::StartsWith("lathe 0."));
  EXPECT_THAT(outcome.output, HasSubstr("instruction set plain; 3 threads"));
}

TEST(Program, ShowsExamplesInItsHelp) {
  Outcome outcome = run("--help");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.output, HasSubstr("Examples:\n"));
}

TEST(Program, ExitsWithTwoWhenUsedWrongly) {
  for (const char* arguments : {"", "--nonsense", "--threads 0", "--threads two", "--log loud", "nonsense"}) {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments << outcome.output;
    EXPECT_THAT(outcome.output, testing::StartsWith("lathe: ")) << arguments;
  }
}

TEST(Program, NamesTheWordsThatAnOptionTakes) {
  EXPECT_THAT(run("data prepare books --tokenizer t --out o --format xml").output,
              HasSubstr("lathe: --format: xml not in {auto,txt,jsonl,csv,tsv}"));
}

TEST(Program, NamesAnUnknownCommand) {
  EXPECT_THAT(run("nonsense").output, HasSubstr("lathe: unknown command 'nonsense'"));
}

TEST(Program, ExitsWithOneAndAMessageForAnError) {
  Outcome outcome = run("--version", "LATHE_ISA=sse9");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.output, "lathe: LATHE_ISA=sse9 is not one of plain, avx2, avx512\n");
}

}  // namespace
}  // namespace lathe::cli
