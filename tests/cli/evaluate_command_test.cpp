#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"

namespace lathe::cli {
namespace {

using testing::HasSubstr;

ProgramResult evaluate(std::vector<std::string> arguments) {
  std::vector<std::string> all = {"--threads", "1", "evaluate", "perplexity"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_lathe(all);
}

TEST(Evaluate, SaysWhatIsWrongWithItsModel) {
  TemporaryDirectory folder;
  std::string text = folder.file("text.txt", "some text");
  EXPECT_THAT(evaluate({folder.path("nothing"), text}).errors,
              HasSubstr("nothing: no such file or directory; name a run, a model directory or a GGUF file"));
  EXPECT_THAT(evaluate({folder.path(), text}).errors,
              HasSubstr("neither a run (no checkpoints) nor a model directory"));
  folder.file("job.toml", "");
  EXPECT_THAT(evaluate({folder.path(), text}).errors, HasSubstr("this run has no checkpoint yet"));
  EXPECT_THAT(evaluate({folder.path(), text, "--step", "7"}).errors, HasSubstr("has no checkpoint of step 7"));
  EXPECT_EQ(evaluate({folder.path()}).status, 1);
}

/// The published GPT-2 tokenizer with a model of width 2.
class SlowEvaluate : public testing::Test {
 protected:
  void SetUp() override {
    model = shared_data("models/gpt2_tiny_random");
    if (model.empty()) GTEST_SKIP() << no_shared_data("models/gpt2_tiny_random");
  }
  std::string error(const std::string& content, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {model, folder.file("text.txt", content)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ProgramResult result = evaluate(arguments);
    EXPECT_EQ(result.status, 1);
    return result.errors;
  }

  std::string model;
  TemporaryDirectory folder;
};

TEST_F(SlowEvaluate, SaysWhatIsWrongWithItsText) {
  EXPECT_THAT(error(""), HasSubstr("the text has no token that could be predicted"));
  EXPECT_THAT(error("a", {"--start-token", "none"}), HasSubstr("the text has no token that could be predicted"));
  EXPECT_THAT(error("a", {"--start-token", "<s>"}), HasSubstr("the tokenizer has no token \"<s>\""));
  EXPECT_THAT(error("a", {"--window", "2000"}), HasSubstr("a window of 2000 tokens does not fit the model"));
  EXPECT_THAT(error("a", {"--stride", "2000"}), HasSubstr("a stride of 2000 tokens does not fit a window of"));
  EXPECT_THAT(error(std::string("a\0b", 3)), HasSubstr("text.txt"));
  EXPECT_THAT(evaluate({model, folder.path("missing.txt")}).errors, HasSubstr("missing.txt"));
}

TEST_F(SlowEvaluate, SaysWhenItsTokenizerIsMissing) {
  std::filesystem::copy(model, folder.path("model"));
  std::filesystem::remove(folder.path("model/tokenizer.json"));
  std::string errors = evaluate({folder.path("model"), folder.file("text.txt", "some text")}).errors;
  EXPECT_THAT(errors, HasSubstr("tokenizer.json"));
}

TEST_F(SlowEvaluate, PrintsBitsPerByteOfTheRawText) {
  std::string content = "It is a truth universally acknowledged, that a caf\xc3\xa9 must be in want of a wife.";
  ProgramResult result = evaluate({model, folder.file("text.txt", content), "--json", "--window", "16"});
  ASSERT_EQ(result.status, 0) << result.errors;
  nlohmann::json json = nlohmann::json::parse(result.output);
  EXPECT_EQ(json["bytes"], content.size());
  double bits = json["loss"].get<double>() * json["tokens"].get<double>() / std::log(2.0);
  EXPECT_NEAR(json["bits_per_byte"].get<double>(), bits / double(content.size()), 1e-9);
  EXPECT_NEAR(json["perplexity"].get<double>(), std::exp(json["loss"].get<double>()), 1e-6);
  EXPECT_EQ(json["start_token"], "<|endoftext|>");
}

}  // namespace
}  // namespace lathe::cli
