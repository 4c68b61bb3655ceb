#include "lathe/tokenize/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/error_of.h"
#include "tests/support/program.h"
#include "tests/tokenize/tokenize_support.h"

namespace lathe {
namespace {

using test::pieces;
using test::trained_on;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// Words with a count each, a line each, in the manner of the example by which BPE is often explained.
std::string hugs() {
  std::string text;
  const std::pair<const char*, int> counts[] = {{"hug", 10}, {"pug", 5}, {"pun", 12}, {"bun", 4}, {"hugs", 5}};
  for (const auto& [word, count] : counts)
    for (int i = 0; i < count; ++i) text += std::string(word) + "\n";
  return text;
}

std::vector<std::string> tokens_from(const Tokenizer& tokenizer, TokenId first) {
  std::vector<std::string> tokens;
  for (TokenId id = first; id < tokenizer.vocabulary_size(); ++id) tokens.emplace_back(tokenizer.token(id));
  return tokens;
}

TEST(TokenizerTrainer, JoinsTheMostFrequentPairFirst) {
  const Tokenizer tokenizer = trained_on({hugs()}, {.vocabulary_size = 1 + 256 + 5});
  EXPECT_THAT(tokens_from(tokenizer, 257), ElementsAre("ug", "un", "hug", "pun", "pug"));
  EXPECT_EQ(pieces(tokenizer, "hugs bun"), "hug|s|Ġ|b|un");
}

TEST(TokenizerTrainer, BreaksTiesByTheSmallestIds) {
  const Tokenizer tokenizer = trained_on({"cd ab"}, {.vocabulary_size = 258});
  EXPECT_THAT(tokens_from(tokenizer, 257), ElementsAre("ab"));
}

TEST(TokenizerTrainer, LeavesOutPairsBelowTheMinimumFrequency) {
  const Tokenizer all = trained_on({hugs()}, {.vocabulary_size = 1000});
  EXPECT_THAT(tokens_from(all, 257), ElementsAre("ug", "un", "hug", "pun", "pug", "hugs", "bun"));
  const Tokenizer some = trained_on({hugs()}, {.vocabulary_size = 1000, .minimum_frequency = 6});
  EXPECT_THAT(tokens_from(some, 257), ElementsAre("ug", "un", "hug", "pun"));
}

TEST(TokenizerTrainer, GivesSpecialTokensTheFirstIdsAndKeepsThemWhole) {
  const Tokenizer tokenizer =
      trained_on({hugs()}, {.vocabulary_size = 260, .special_tokens = {"<pad>", "<|endoftext|>"}});
  EXPECT_EQ(tokenizer.id("<pad>"), 0u);
  EXPECT_EQ(tokenizer.end_token(), 1u);
  EXPECT_TRUE(tokenizer.is_special(0));
  EXPECT_FALSE(tokenizer.is_special(2));
  EXPECT_EQ(tokenizer.encode("<pad><|endoftext|>"), (std::vector<TokenId>{0, 1}));
  std::vector<TokenId> ordinary;
  tokenizer.encode_ordinary("<pad>", ordinary);
  EXPECT_EQ(pieces(tokenizer, ordinary), "<|p|a|d|>");
}

TEST(TokenizerTrainer, FindsTheSameWithAnyNumberOfThreadsAndInAnyOrder) {
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i) texts.push_back(test::random_bytes(static_cast<uint64_t>(i), 300));
  const std::vector<std::string_view> forward(texts.begin(), texts.end()), backward(texts.rbegin(), texts.rend());
  for (const char* kind : {"gpt2", "cl100k", "words-bpe", "words", "characters"}) {
    TokenizerTraining training = {.kind = tokenizer_kind(kind), .vocabulary_size = 3000, .threads = 1};
    const std::string one = trained_on(forward, training).json();
    training.threads = 3;
    EXPECT_EQ(trained_on(backward, training).json(), one) << kind;
  }
}

TEST(TokenizerTrainer, MarksTheEndsOfWords) {
  const Tokenizer tokenizer =
      trained_on({hugs()}, {.kind = TokenizerKind::words_bpe, .vocabulary_size = 100, .special_tokens = {}});
  EXPECT_EQ(tokenizer.kind(), "BPE on words");
  EXPECT_EQ(pieces(tokenizer, "hugs pun hu"), "hugs</w>|pun</w>|h|<unk>");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("hugs pun")), "hugs pun");
}

TEST(TokenizerTrainer, TakesTheMostFrequentWords) {
  const Tokenizer tokenizer =
      trained_on({hugs()}, {.kind = TokenizerKind::words, .vocabulary_size = 4, .special_tokens = {}});
  EXPECT_THAT(tokens_from(tokenizer, 0), ElementsAre("<unk>", "pun", "hug", "hugs"));
  EXPECT_EQ(pieces(tokenizer, "pun, hug"), "pun|<unk>|hug");
  const Tokenizer often = trained_on({hugs()}, {.kind = TokenizerKind::words, .minimum_frequency = 10});
  EXPECT_EQ(often.vocabulary_size(), 4);  // <unk>, <|endoftext|>, pun, hug
}

TEST(TokenizerTrainer, TakesCharactersInTheirOrder) {
  const Tokenizer tokenizer =
      trained_on({"bébé cab"}, {.kind = TokenizerKind::characters, .special_tokens = {"<unk>"}});
  EXPECT_THAT(tokens_from(tokenizer, 0), ElementsAre("<unk>", " ", "a", "b", "c", "é"));
  EXPECT_EQ(pieces(tokenizer, "éa?"), "é|a|<unk>");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("bé a")), "bé a");
}

TEST(TokenizerTrainer, RefusesWhatCannotBe) {
  const auto problem = [](TokenizerTraining training) { return error_of([&] { TokenizerTrainer trainer(training); }); };
  EXPECT_THAT(problem({.vocabulary_size = 256}), AllOf(HasSubstr("256"), HasSubstr("at least 257")));
  EXPECT_THAT(problem({.vocabulary_size = int64_t{1} << 40}), HasSubstr("beyond the largest"));
  EXPECT_THAT(problem({.special_tokens = {"<a>", "<a>"}}), HasSubstr("'<a>' is given twice"));
  EXPECT_THAT(problem({.special_tokens = {""}}), HasSubstr("empty"));
  EXPECT_THAT(problem({.special_tokens = {"\xff"}}), HasSubstr("not UTF-8"));
  EXPECT_THAT(error_of([] { trained_on({""}); }), HasSubstr("the text has no words (0 bytes were read)"));
  EXPECT_THAT(error_of([] { trained_on({"abcdefg"}, {.kind = TokenizerKind::words_bpe, .vocabulary_size = 5}); }),
              HasSubstr("do not fit into a vocabulary of 5"));
  EXPECT_THAT(error_of([] { tokenizer_kind("gtp2"); }), HasSubstr("'gpt2'"));
}

/// A fresh directory, removed at the end.
class TrainedFiles : public testing::Test {
 protected:
  TrainedFiles() { EXPECT_NE(mkdtemp(directory_.data()), nullptr); }
  ~TrainedFiles() override { std::filesystem::remove_all(directory_); }
  std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << content;
    return directory_ + "/" + name;
  }
  std::string directory_ = testing::TempDir() + "lathe-trainer-XXXXXX";
};

TEST_F(TrainedFiles, AreReadInPartsToTheSameEnd) {
  std::string text;
  for (int i = 0; i < 30; ++i) text += hugs() + test::random_bytes(7, 1000);
  TokenizerTrainer trainer({.vocabulary_size = 300});
  trainer.add_file(file("a.txt", text));
  EXPECT_EQ(trainer.counted().bytes, static_cast<int64_t>(text.size()));
  EXPECT_GT(trainer.counted().memory_bytes, 0);
  EXPECT_EQ(trainer.train().hash(), trained_on({text}, {.vocabulary_size = 300}).hash());
}

using SlowTrainedFiles = TrainedFiles;

TEST_F(SlowTrainedFiles, MayHoldAnyBytes) {
  const std::string text = test::random_bytes(1, 20000) + '\0' + "\xff\xfe";
  for (const char* kind : {"gpt2", "cl100k", "words-bpe", "words", "characters"}) {
    const std::string out = directory_ + "/" + kind + ".json";
    const ProgramResult result =
        run_lathe({"tokenizer", "train", file("any", text), "--kind", kind, "--vocabulary-size", "5000", "--out", out});
    ASSERT_EQ(result.status, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr(Tokenizer::load(out).hash()));
  }
}

TEST_F(SlowTrainedFiles, AreNamedWhenTheyAreWrong) {
  const auto problem = [&](const std::string& path) {
    const ProgramResult result = run_lathe({"tokenizer", "train", path, "--out", directory_ + "/out.json"});
    EXPECT_EQ(result.status, 1);
    return result.errors;
  };
  EXPECT_THAT(problem(directory_ + "/none.txt"), HasSubstr("none.txt"));
  EXPECT_THAT(problem(file("empty.txt", "")), HasSubstr("the text has no words"));
  EXPECT_THAT(problem(file("cut.gz", "\x1f\x8b\x08")), HasSubstr("cut.gz"));
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/out.json"));
}

}  // namespace
}  // namespace lathe
