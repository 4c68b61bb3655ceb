#include <gmock/gmock.h>

#include "lathe/base/durable_file.h"
#include "tests/train/tiny_run_support.h"

namespace lathe::test {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

std::string corpus(const std::string& path, const std::string& text) {
  return "data.corpus=[{path=\"" + path + "\", text=[\"" + text + "\"], held_out=0.05}]";
}

TEST(SlowPrepareCorpora, MakesATokenizerAndShardsFromTheJobsTextOnce) {
  TinyRun tiny;
  std::vector<std::string> fresh = {"--set", corpus(tiny.path("fresh"), tiny.path("text.txt"))};
  ProgramResult first = tiny.train(fresh);
  ASSERT_EQ(first.status, 0) << first.errors;
  EXPECT_THAT(first.errors, HasSubstr("trained a tokenizer of "));
  EXPECT_EQ(files_of(tiny.path("fresh")).size(), files_of(tiny.shards()).size());

  fs::remove_all(tiny.run());
  ProgramResult second = tiny.train(fresh);
  ASSERT_EQ(second.status, 0) << second.errors;
  EXPECT_THAT(second.errors, Not(HasSubstr("trained a tokenizer")));
}

TEST(SlowPrepareCorpora, TakesTheTokenizerOfShardsThatAreThere) {
  TinyRun tiny;
  std::string both = corpus(tiny.path("fresh"), tiny.path("text.txt"));
  both.insert(both.size() - 1, ", {path=\"" + tiny.shards() + "\"}");
  ProgramResult result = tiny.train({"--set", both});
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_THAT(result.errors, Not(HasSubstr("trained a tokenizer")));
}

TEST(SlowPrepareCorpora, LeavesNothingBehindForTextThatCannotBeRead) {
  TinyRun tiny;
  ProgramResult missing = tiny.train({"--set", corpus(tiny.path("fresh"), tiny.path("nowhere.txt"))});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.errors, HasSubstr("nowhere.txt"));
  replace_file(tiny.path("binary.txt"), std::string("a\0b", 3));
  ProgramResult binary = tiny.train({"--set", corpus(tiny.path("fresh"), tiny.path("binary.txt"))});
  EXPECT_EQ(binary.status, 1);
  EXPECT_THAT(binary.errors, HasSubstr("binary.txt"));
  EXPECT_FALSE(fs::exists(tiny.path("fresh")));
  EXPECT_FALSE(fs::exists(tiny.run()));
}

}  // namespace
}  // namespace lathe::test
