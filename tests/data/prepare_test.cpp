#include "lathe/data/prepare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "lathe/base/build_info.h"
#include "lathe/data/token_shards.h"
#include "lathe/tokenize/tokenizer.h"
#include "tests/data/data_support.h"
#include "tests/support/checkout.h"
#include "tests/support/error_of.h"
#include "tests/support/program.h"

namespace lathe::data {
namespace {

using Texts = std::vector<std::string>;

class PrepareTest : public testing::Test {
 protected:
  PrepareTest() : tokenizer_path_(write_tokenizer(scratch_)), tokenizer_(Tokenizer::load(tokenizer_path_)) {}

  PrepareOptions options(const Texts& inputs) const {
    return {.inputs = inputs, .tokenizer = tokenizer_path_, .output = scratch_.path("out"), .replace = true};
  }
  TokenShards prepared(const PrepareOptions& options) {
    report_ = prepare(options, [](const PrepareProgress&) {});
    TokenShards shards(options.output);
    shards.verify();
    return shards;
  }
  /// The text of every document, without its end token.
  Texts texts(const TokenSplit& split) const {
    Texts all;
    for (int64_t i = 0; i < split.documents(); ++i) {
      std::vector<int32_t> tokens(static_cast<size_t>(split.document_start(i + 1) - split.document_start(i)));
      split.read(split.document_start(i), tokens);
      if (tokens.back() == static_cast<int32_t>(*tokenizer_.end_token())) tokens.pop_back();
      all.push_back(tokenizer_.decode(std::vector<TokenId>(tokens.begin(), tokens.end())));
    }
    return all;
  }
  /// JSON lines of `count` different documents.
  std::string many_documents(int count) const {
    std::string lines;
    for (int i = 0; i < count; ++i)
      lines += "{\"text\": \"the word and number " + std::string(static_cast<size_t>(i % 7), 'x') + std::to_string(i) +
               "\"}\n";
    return scratch_.file("many.jsonl", lines);
  }
  Texts what_is_left() const {
    Texts names;
    for (const auto& entry : std::filesystem::directory_iterator(scratch_.path()))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  Scratch scratch_;
  std::string tokenizer_path_;
  Tokenizer tokenizer_;
  PrepareReport report_;
};

TEST_F(PrepareTest, KeepsEveryDocumentInOrderAndEndsItWithTheEndToken) {
  const Texts inputs = {scratch_.file("a.txt", "the first and\nthe second"),
                        scratch_.file("b.jsonl", "{\"text\": \"w\xC3\xB6rd\"}\n")};
  const TokenShards shards = prepared(options(inputs));
  EXPECT_EQ(texts(shards.train()), (Texts{"the first and\nthe second", "w\xC3\xB6rd"}));
  EXPECT_EQ(shards.index().token_bytes, 2);
  EXPECT_EQ(shards.index().end_of_document, tokenizer_.end_token());
  EXPECT_EQ(shards.train().bytes(), 24 + 5);
  EXPECT_EQ(shards.index().sources[1].path, inputs[1]);
  EXPECT_EQ(shards.index().largest_token, static_cast<int64_t>(*tokenizer_.end_token()));
  EXPECT_EQ(Tokenizer::load(shards.tokenizer_path()).hash(), shards.index().tokenizer_hash);
}

TEST_F(PrepareTest, MakesTheSameShardsWithAnyNumberOfThreadsAndShardSize) {
  PrepareOptions one = options({many_documents(3000)});
  one.threads = 1;
  PrepareOptions three = one;
  three.threads = 3;
  three.output = scratch_.path("three");
  three.shard_tokens = 1000;
  const TokenShards first = prepared(one), second = prepared(three);
  EXPECT_EQ(texts(first.train()), texts(second.train()));
  EXPECT_GT(second.index().train.shards.size(), 20u);
}

TEST_F(PrepareTest, LeavesOutDuplicatesWhenAsked) {
  const std::string path = scratch_.file("a.txt", "one--two--one--two--three");
  PrepareOptions all = options({path, scratch_.file("b.txt", "three")});
  all.read.document_separator = "--";
  EXPECT_EQ(prepared(all).train().documents(), 6);
  all.deduplicate = true;
  EXPECT_EQ(texts(prepared(all).train()), (Texts{"one", "two", "three"}));
  EXPECT_EQ(report_.index.left_out.duplicates, 3);
}

TEST_F(PrepareTest, LeavesOutALongDuplicateThatCameInPieces) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "the words and " + std::to_string(i) + " more ";
  PrepareOptions options_ =
      options({scratch_.file("a.txt", text), scratch_.file("b.txt", text), scratch_.file("c.txt", text + "!")});
  options_.deduplicate = true;
  options_.read.piece_bytes = 1000;
  EXPECT_EQ(texts(prepared(options_).train()), (Texts{text, text + "!"}));
}

TEST_F(PrepareTest, ShufflesDocumentsByASeed) {
  PrepareOptions plain = options({many_documents(300)});
  const Texts in_order = texts(prepared(plain).train());
  PrepareOptions shuffled = plain;
  shuffled.shuffle = true;
  const Texts first = texts(prepared(shuffled).train()), again = texts(prepared(shuffled).train());
  shuffled.seed = 1;
  const Texts other = texts(prepared(shuffled).train());
  EXPECT_EQ(first, again);
  EXPECT_NE(first, in_order);
  EXPECT_NE(first, other);
  EXPECT_EQ(std::multiset<std::string>(first.begin(), first.end()),
            std::multiset<std::string>(in_order.begin(), in_order.end()));
}

TEST_F(PrepareTest, HoldsOutWholeDocumentsOfMany) {
  PrepareOptions held = options({many_documents(400)});
  held.held_out.fraction = 0.1;
  const TokenShards shards = prepared(held);
  const Texts train = texts(shards.train()), rest = texts(shards.held_out());
  std::set<std::string> all(train.begin(), train.end());
  all.insert(rest.begin(), rest.end());
  EXPECT_EQ(all.size(), 400u);
  EXPECT_EQ(train.size() + rest.size(), 400u);
  EXPECT_NEAR(static_cast<double>(rest.size()), 40, 4);
}

TEST_F(PrepareTest, HoldsOutTheTailOfFewDocuments) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "the word " + std::to_string(i) + (i % 10 == 9 ? ".\n\n" : ".\n");
  PrepareOptions held =
      options({scratch_.file("a.txt", "first"), scratch_.file("b.txt", text), scratch_.file("c.txt", "last")});
  held.held_out.bytes = 1000;
  const TokenShards shards = prepared(held);
  const Texts train = texts(shards.train()), rest = texts(shards.held_out());
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(train[1] + rest[0], text);
  EXPECT_EQ(rest[1], "last");
  EXPECT_EQ(train[1].substr(train[1].size() - 2), "\n\n");  // behind a blank line
  EXPECT_GE(shards.held_out().bytes(), 1000);
  EXPECT_LT(shards.held_out().bytes(), 1200);
  EXPECT_EQ(shards.held_out().bytes(), static_cast<int64_t>(rest[0].size() + rest[1].size()));
  EXPECT_EQ(shards.train().bytes() + shards.held_out().bytes(), static_cast<int64_t>(text.size()) + 9);
}

TEST_F(PrepareTest, RefusesToHoldOutEverything) {
  PrepareOptions held = options({scratch_.file("a.txt", "short text")});
  held.held_out.bytes = 1000;
  EXPECT_NE(error_of([&] { prepared(held); }).find("would leave nothing to train on"), std::string::npos);
}

TEST_F(PrepareTest, RefusesInputWithoutText) {
  const std::string said = error_of([&] { prepared(options({scratch_.file("a.txt", "")})); });
  EXPECT_NE(said.find("the input holds no text (1 file(s), 1 empty document(s))"), std::string::npos) << said;
}

TEST_F(PrepareTest, LeavesNothingBehindWhenItFails) {
  const Texts before = what_is_left();
  const std::string path = scratch_.file("tokenizer/bad.jsonl", "{\"text\": \"good\"}\n{\"text\": \"cut\n");
  EXPECT_NE(error_of([&] { prepared(options({path})); }).find("bad.jsonl, line 2"), std::string::npos);
  EXPECT_EQ(what_is_left(), before);
}

TEST_F(PrepareTest, ReplacesOnlyACorpusAndOnlyWhenTold) {
  PrepareOptions first = options({scratch_.file("a.txt", "one")});
  prepared(first);
  first.replace = false;
  EXPECT_NE(error_of([&] { prepared(first); }).find("out: exists already"), std::string::npos);
  first.replace = true;
  first.inputs = {scratch_.file("b.txt", "two")};
  EXPECT_EQ(texts(prepared(first).train()), Texts{"two"});
  first.output = scratch_.path("tokenizer");
  EXPECT_NE(error_of([&] { prepared(first); }).find("tokenizer: is no prepared corpus"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(tokenizer_path_));
}

TEST_F(PrepareTest, KeepsTheOldCorpusWhenTheDiskIsFull) {
  if (build_info().build_type.ends_with("thread sanitizer")) GTEST_SKIP() << "the limit breaks TSan's own files";
  PrepareOptions first = options({scratch_.file("a.txt", "old")});
  prepared(first);
  const std::string text = many_documents(20000);
  const Texts before = what_is_left();
  const ProgramResult result =
      run_program({"sh", "-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "sh", lathe_program(), "data", "prepare",
                   text, "--tokenizer", tokenizer_path_, "--out", first.output, "--force"});
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.errors.find("cannot write"), std::string::npos) << result.errors;
  EXPECT_NE(result.errors.find("free"), std::string::npos) << result.errors;
  EXPECT_EQ(what_is_left(), before);
  EXPECT_EQ(texts(TokenShards(first.output).train()), Texts{"old"});
}

TEST_F(PrepareTest, SaysThatADiskIsFull) {
  std::filesystem::create_directory(scratch_.path("disk"));
  const ProgramResult result =
      run_program({"unshare", "-m", "sh", "-c",
                   "mount -t tmpfs -o size=300k none \"$0\" || exit 77; \"$@\"; s=$?; ls -A \"$0\"; exit $s",
                   scratch_.path("disk"), lathe_program(), "data", "prepare", many_documents(20000), "--tokenizer",
                   tokenizer_path_, "--out", scratch_.path("disk/out")});
  if (result.status == 77 || result.errors.starts_with("unshare:"))
    GTEST_SKIP() << "no small disk can be mounted here: " << result.errors;
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.errors.find("free"), std::string::npos) << result.errors;
  EXPECT_EQ(result.output, "");  // nothing is left on the disk
}

TEST_F(PrepareTest, CutsLongTextsWithoutChangingTokens) {
  const std::string gpt2 = shared_data("tokenizers/gpt2"), book = shared_data("books/Austen_Emma.txt"),
                    spanish = shared_data("bible_en_es/rv1909.es.txt");
  if (gpt2.empty() || book.empty() || spanish.empty()) GTEST_SKIP() << no_shared_data("tokenizers/gpt2");
  const Tokenizer tokenizer = Tokenizer::load(gpt2);
  PrepareOptions cut = options({book, spanish});
  cut.tokenizer = gpt2;
  cut.read.piece_bytes = 777;
  const TokenShards shards = prepared(cut);
  for (int64_t i = 0; i < 2; ++i) {
    const TokenSplit& split = shards.train();
    std::vector<int32_t> found(static_cast<size_t>(split.document_start(i + 1) - split.document_start(i) - 1));
    split.read(split.document_start(i), found);
    const std::vector<TokenId> expected = tokenizer.encode(read_bytes(i == 0 ? book : spanish));
    EXPECT_EQ(std::vector<TokenId>(found.begin(), found.end()), expected);
  }
}

TEST_F(PrepareTest, ShowsACorpusOnTheCommandLine) {
  const std::string out = scratch_.path("shown");
  const ProgramResult made = run_lathe({"data", "prepare", scratch_.file("a.txt", "the word and\\n\\nmore--the end"),
                                        "--tokenizer", tokenizer_path_, "--out", out, "--document-separator", "--"});
  EXPECT_EQ(made.status, 0) << made.errors;
  EXPECT_NE(made.errors.find("MB/s"), std::string::npos) << made.errors;
  const ProgramResult shown = run_lathe({"data", "show", out, "--verify"});
  EXPECT_EQ(shown.status, 0) << shown.errors;
  for (const std::string expected : {"2 documents", "verified", "the word and", "16 bits a token"})
    EXPECT_NE(shown.output.find(expected), std::string::npos) << expected << "\n" << shown.output;
  EXPECT_EQ(run_lathe({"data", "prepare"}).status, 2);
  EXPECT_EQ(run_lathe({"data", "show", scratch_.path("none")}).status, 1);
}

}  // namespace
}  // namespace lathe::data
