#include "lathe/data/shard_index.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "lathe/data/token_shards.h"
#include "tests/data/data_support.h"
#include "tests/support/error_of.h"

namespace lathe::data {
namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

class ShardIndexTest : public testing::Test {
 protected:
  ShardIndexTest() {
    write_corpus(scratch_.path(), counting_documents(20, 40), counting_documents(3, 40), {.shard_tokens = 250});
    json_ = read_bytes(scratch_.path("index.json"));
  }
  std::string parse_error(const std::string& json) {
    return error_of([&] { parse_index(json, "index.json"); });
  }
  std::string open_error() {
    return error_of([&] { TokenShards(scratch_.path()).verify(); });
  }
  void damage(const std::string& file, size_t at, char with) {
    std::string bytes = read_bytes(scratch_.path(file));
    bytes[at] = static_cast<char>(bytes[at] ^ with);
    write_bytes(scratch_.path(file), bytes);
  }
  void shorten(const std::string& file, size_t by) {
    const std::string bytes = read_bytes(scratch_.path(file));
    write_bytes(scratch_.path(file), bytes.substr(0, bytes.size() - by));
  }

  Scratch scratch_;
  std::string json_;
};

TEST_F(ShardIndexTest, ReadsWhatItWrote) {
  const ShardIndex index = parse_index(json_, "index.json");
  EXPECT_EQ(format_index(index), json_);
  EXPECT_EQ(index.train.documents, 20);
  EXPECT_EQ(index.train.shards.size(), 3u);
  EXPECT_EQ(index.end_of_document, 0);
  EXPECT_EQ(open_error(), "");
}

TEST_F(ShardIndexTest, RefusesANewerFormatByName) {
  const std::string said = parse_error(replaced(json_, "\"format\": 1", "\"format\": 2"));
  EXPECT_NE(said.find("has format 2; this lathe reads formats up to 1"), std::string::npos) << said;
}

TEST_F(ShardIndexTest, RefusesWhatIsNoIndex) {
  EXPECT_NE(parse_error("{}").find("is not an index of token shards"), std::string::npos);
  EXPECT_NE(parse_error("").find("is not JSON"), std::string::npos);
  EXPECT_NE(parse_error(std::string(100000, '[')).find("is not JSON"), std::string::npos);
}

TEST_F(ShardIndexTest, RefusesEveryTruncation) {
  for (size_t length = 0; length + 2 < json_.size(); ++length)
    EXPECT_NE(parse_error(json_.substr(0, length)), "") << length;
}

TEST_F(ShardIndexTest, RefusesAnIndexThatContradictsItself) {
  const auto refused = [&](const std::string& from, const std::string& to, const std::string& expected) {
    const std::string said = parse_error(replaced(json_, from, to));
    EXPECT_NE(said.find(expected), std::string::npos) << from << " -> " << to << ": " << said;
  };
  refused("\"tokens\": 250", "\"tokens\": 249", "does not add up");
  refused("\"tokens\": 250", "\"tokens\": -1", "must be a count");
  refused("\"tokens\": 250", "\"tokens\": 1e3", "must be a count");
  refused("\"tokens\": 250", "\"tokens\": 99999999999999999999", "must be a count");
  refused("\"token_bytes\": 2", "\"token_bytes\": 3", "must be 2 or 4");
  refused("\"vocabulary_size\": 1000", "\"vocabulary_size\": 70000", "does not fit tokens of 2 bytes");
  refused("\"vocabulary_size\": 1000", "\"vocabulary_size\": 10", "outside the vocabulary");
  refused("\"documents\": 20", "\"documents\": 2000000", "documents but only");
  refused("train-00000.tokens", "../secrets", "must name a file beside the index");
  refused("train-00000.tokens", "/etc/passwd", "must name a file beside the index");
  refused("\"train\"", "\"strain\"", "lacks \"train\"");
  refused("\"shard_tokens\": 250", "\"shard_tokens\": 0", "shard_tokens");
}

TEST_F(ShardIndexTest, RefusesFilesThatDoNotHaveTheirSize) {
  shorten("train-00001.tokens", 2);
  EXPECT_NE(open_error().find("train-00001.tokens: holds "), std::string::npos) << open_error();
  std::filesystem::remove(scratch_.path("train-00001.tokens"));
  EXPECT_NE(open_error().find("train-00001.tokens"), std::string::npos) << open_error();
}

TEST_F(ShardIndexTest, RefusesTruncatedOrLyingOffsets) {
  damage("train.offsets", 20 * 8, 1);  // the last offset
  EXPECT_NE(open_error().find("train.offsets: runs from token 0 to "), std::string::npos) << open_error();
  shorten("train.offsets", 8);
  EXPECT_NE(open_error().find("train.offsets: holds 160 bytes"), std::string::npos) << open_error();
}

TEST_F(ShardIndexTest, FindsAFlippedBitWhenVerifying) {
  for (const std::string file :
       {"train-00000.tokens", "train-00001.tokens", "held-out-00000.tokens", "train.offsets"}) {
    damage(file, 8, 1);
    EXPECT_NO_THROW(TokenShards(scratch_.path()));
    EXPECT_NE(open_error().find(file + ": checksum is "), std::string::npos) << open_error();
    damage(file, 8, 1);
  }
}

TEST_F(ShardIndexTest, FindsDocumentsOfTokensWhateverTheOffsetsSay) {
  const TokenShards whole(scratch_.path());
  for (int64_t i = 0; i < whole.train().documents(); ++i) {
    EXPECT_EQ(whole.train().document_at(whole.train().document_start(i)), i);
    EXPECT_EQ(whole.train().document_at(whole.train().document_start(i + 1) - 1), i);
  }
  for (size_t i = 8; i < 20 * 8; i += 3) damage("train.offsets", i, 0x55);
  const TokenShards damaged(scratch_.path());
  for (int64_t token = 0; token < damaged.train().tokens(); ++token) {
    EXPECT_GE(damaged.train().document_at(token), 0);
    EXPECT_LT(damaged.train().document_at(token), 20);
  }
}

TEST_F(ShardIndexTest, NamesBothTokenizersThatDoNotMatch) {
  const TokenShards shards(scratch_.path());
  const std::string said = error_of([&] { shards.require_tokenizer("ffff", "other.json"); });
  EXPECT_NE(said.find("made with the tokenizer 0123456789abcdef0123456789abcdef, but other.json is ffff"),
            std::string::npos);
  EXPECT_EQ(error_of([&] { shards.require_tokenizer("0123456789abcdef0123456789abcdef", "same.json"); }), "");
}

TEST_F(ShardIndexTest, RefusesAModelWithASmallerVocabulary) {
  const TokenShards shards(scratch_.path());
  const int64_t largest = shards.index().largest_token;
  EXPECT_EQ(error_of([&] { shards.require_vocabulary(largest + 1); }), "");
  EXPECT_NE(error_of([&] { shards.require_vocabulary(largest); }).find("set vocab_size to at least 1000"),
            std::string::npos);
}

TEST(TokenShards, SaysWhatADirectoryWithoutIndexIs) {
  Scratch scratch;
  EXPECT_NE(error_of([&] { TokenShards(scratch.path("none")); }).find("no such directory"), std::string::npos);
  EXPECT_NE(error_of([&] { TokenShards(scratch.path()); }).find("holds no index.json"), std::string::npos);
}

}  // namespace
}  // namespace lathe::data
