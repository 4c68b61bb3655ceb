#include "tests/support/program.h"

#include <gtest/gtest.h>

#include "lathe/base/error.h"

namespace lathe {
namespace {

TEST(RunProgram, GivesStatusOutputAndErrors) {
  ProgramResult result = run_program({"sh", "-c", "cat; echo out; echo err >&2; exit 3"});
  EXPECT_EQ(result.status, 3);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.errors, "err\n");
}

TEST(RunProgram, GivesTheSignalThatEndedIt) { EXPECT_EQ(run_program({"sh", "-c", "kill -9 $$"}).status, 128 + 9); }

TEST(RunProgram, ThrowsWhenThereIsNoSuchProgram) { EXPECT_THROW(run_program({"no-such-program"}), Error); }

TEST(Program, ExitsWithTwoOnAnUnknownCommand) { EXPECT_EQ(run_lathe({"nonsense"}).status, 2); }

TEST(PeerPython, HasThePinnedPyTorch) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  EXPECT_EQ(run_peer("import importlib.metadata as m, sys; print(m.version(sys.argv[1]))", {"torch"}), "2.13.0\n");
}

}  // namespace
}  // namespace lathe
