#include "lathe/tokenize/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/error_of.h"
#include "tests/tokenize/tokenize_support.h"

namespace lathe {
namespace {

using test::byte_level_json;
using test::kFirstAdded;
using test::pieces;
using test::trained_on;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kKinds[] = {"gpt2", "cl100k", "words-bpe", "words", "characters", "wordpiece", "unigram"};

Tokenizer parsed(const std::string& json) { return Tokenizer::parse(json, "tokenizer.json"); }

/// An added token with these flags, as byte_level_json() takes them.
std::string added(const std::string& content, const std::string& flags, int number = 0) {
  return text(number ? "," : "", "{\"id\":", kFirstAdded + TokenId(number), ",\"content\":\"", content,
              "\",\"normalized\":false", flags, "}");
}

TEST(Tokenizer, SurvivesSavingAndLoading) {
  std::string directory = testing::TempDir() + "lathe-tokenizer-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::string text = test::random_bytes(1, 5000);
  for (const char* kind : kKinds) {
    const Tokenizer made = trained_on({text}, {.kind = tokenizer_kind(kind), .vocabulary_size = 2000});
    made.save(directory + "/" + kind);
    const Tokenizer loaded = Tokenizer::load(directory + "/" + kind);
    EXPECT_EQ(loaded.json(), made.json());
    EXPECT_EQ(loaded.hash(), made.hash());
    EXPECT_EQ(loaded.kind(), made.kind());
    EXPECT_EQ(loaded.end_token(), made.end_token());
    EXPECT_EQ(loaded.encode(text), made.encode(text));
  }
  std::filesystem::remove_all(directory);
}

TEST(Tokenizer, GivesAnyBytesBackWhenItIsByteLevel) {
  const std::string text = test::random_bytes(2, 20000);
  for (const char* kind : {"gpt2", "cl100k"}) {
    const Tokenizer tokenizer = trained_on({text}, {.kind = tokenizer_kind(kind), .vocabulary_size = 500});
    EXPECT_TRUE(tokenizer.lossless());
    for (uint64_t seed = 0; seed < 500; ++seed) {
      const std::string bytes = test::random_bytes(seed, seed % 100);
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(bytes)), bytes) << seed;
    }
  }
}

TEST(Tokenizer, ReadsTheReplacementCharacterForWhatIsNotUtf8WhenItIsNotByteLevel) {
  const Tokenizer tokenizer = trained_on({"a \xEF\xBF\xBD b"}, {.kind = TokenizerKind::characters});
  EXPECT_FALSE(tokenizer.lossless());
  EXPECT_EQ(tokenizer.encode("a\xff"), tokenizer.encode("a\xEF\xBF\xBD"));
}

TEST(Tokenizer, HasAHashThatOnlyEqualOnesShare) {
  const std::string plain = byte_level_json();
  EXPECT_EQ(parsed(plain).hash(), parsed("  " + plain).hash());
  EXPECT_NE(parsed(plain).hash(), parsed(byte_level_json(added("<x>", ""))).hash());
  std::string swapped = plain;
  swapped.replace(swapped.find("\"t h\",\"th e\""), 12, "\"th e\",\"t h\"");
  EXPECT_NE(parsed(plain).hash(), parsed(swapped).hash());
}

TEST(Tokenizer, EncodesManyTextsAsOneByOne) {
  const Tokenizer tokenizer = parsed(byte_level_json(added("<x>", "")));
  std::vector<std::string> texts = {"", "the cat<x>", std::string(600000, 'a')};
  for (uint64_t seed = 0; seed < 40; ++seed) texts.push_back(test::random_bytes(seed, 50 * seed));
  for (int i = 0; i < 60000; ++i) texts.back() += " the cat's";
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const auto batch = tokenizer.encode_batch(views, 3);
  ASSERT_EQ(batch.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(batch[i], tokenizer.encode(texts[i])) << i;
}

TEST(AddedTokens, AreFoundBeforeTheTextIsSplit) {
  const Tokenizer tokenizer = parsed(byte_level_json(added("<x>", "") + added("<x>y", "", 1)));
  EXPECT_EQ(pieces(tokenizer, "the<x>cat"), "the|<x>|cat");
  EXPECT_EQ(pieces(tokenizer, "<x>y<x>"), "<x>y|<x>");  // of two that begin alike the longer
  EXPECT_EQ(pieces(tokenizer, "< x>"), "<|Ġ|x|>");
}

TEST(AddedTokens, TakeWhitespaceAlongWhenTheySayso) {
  const std::string text = "the  <x>  cat";
  EXPECT_EQ(pieces(parsed(byte_level_json(added("<x>", ""))), text), "the|Ġ|Ġ|<x>|Ġ|Ġcat");
  EXPECT_EQ(pieces(parsed(byte_level_json(added("<x>", ",\"lstrip\":true"))), text), "the|<x>|Ġ|Ġcat");
  EXPECT_EQ(pieces(parsed(byte_level_json(added("<x>", ",\"rstrip\":true"))), text), "the|Ġ|Ġ|<x>|cat");
}

TEST(AddedTokens, StandAloneWhenTheyAreSingleWords) {
  const Tokenizer tokenizer = parsed(byte_level_json(added("is", ",\"single_word\":true")));
  EXPECT_EQ(pieces(tokenizer, "is, this is"), "is|,|Ġ|th|i|s|Ġ|is");
}

TEST(AddedTokens, AreLeftOutOfTextWhenTheyAreSpecial) {
  const Tokenizer tokenizer = parsed(byte_level_json(added("<x>", ",\"special\":true") + added("<y>", "", 1)));
  const std::vector<TokenId> ids = tokenizer.encode("the<x> cat<y>");
  EXPECT_EQ(tokenizer.decode(ids), "the<x> cat<y>");
  EXPECT_EQ(tokenizer.decode_text(ids), "the cat<y>");
}

TEST(Template, IsPutAroundATextOnRequest) {
  const Tokenizer tokenizer = parsed(byte_level_json(
      added("<s>", "") + added("</s>", "", 1),
      R"("post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},)"
      R"({"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"</s>","type_id":0}}]},)"));
  EXPECT_EQ(pieces(tokenizer, tokenizer.encode_with_template("the cat")), "<s>|the|Ġcat|</s>");
  EXPECT_EQ(pieces(tokenizer, "the cat"), "the|Ġcat");
}

TEST(TextStream, NeverEndsInsideACharacter) {
  const Tokenizer tokenizer = parsed(byte_level_json());
  const std::string text = "the \xE2\x82\xAC \xF0\x9F\x98\x80\xFF cat\xE2\x82";
  const std::vector<TokenId> ids = tokenizer.encode(text);
  TextStream stream(tokenizer);
  std::string all;
  for (const TokenId id : ids) {
    const std::string more = stream.push(id);
    EXPECT_TRUE(more.empty() || (more.back() & 0xC0) != 0xC0) << more;
    all += more;
  }
  all += stream.finish();
  EXPECT_EQ(all, tokenizer.decode_text(ids));
  EXPECT_EQ(all, "the \xE2\x82\xAC \xF0\x9F\x98\x80\xEF\xBF\xBD cat\xEF\xBF\xBD");
}

TEST(TokenizerJson, MayHaveHoles) {
  const Tokenizer tokenizer = parsed(byte_level_json("{\"id\":300,\"content\":\"<x>\"}"));
  EXPECT_EQ(tokenizer.vocabulary_size(), 301);
  EXPECT_EQ(tokenizer.token(299), "");
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{257, 299, 300}), "the<x>");
  EXPECT_THAT(error_of([&] { tokenizer.decode(std::vector<TokenId>{301}); }),
              HasSubstr("token 301 is beyond the vocabulary of 301"));
}

TEST(TokenizerJson, IsRefusedByNameWhenItIsWrong) {
  const auto problem = [](const std::string& json) { return error_of([&] { parsed(json); }); };
  const auto changed = [](const std::string& from, const std::string& to) {
    std::string json = byte_level_json();
    return json.replace(json.find(from), from.size(), to);
  };
  EXPECT_THAT(problem(""), HasSubstr("tokenizer.json is no valid JSON"));
  EXPECT_THAT(problem("[1]"), HasSubstr("must be an object"));
  EXPECT_THAT(problem("{}"), HasSubstr("tokenizer.json: model is missing"));
  EXPECT_THAT(problem(byte_level_json().substr(0, 1500)), HasSubstr("no valid JSON"));
  EXPECT_THAT(problem(changed("\"type\":\"BPE\"", "\"type\":\"Tree\"")), HasSubstr("'Tree' are not supported"));
  EXPECT_THAT(problem(changed("\"type\":\"BPE\"", "\"type\":\"Unigram\"")),
              HasSubstr("model.vocab must be a list, not an object"));
  EXPECT_THAT(problem(changed("\"t h\"", "\"t h e\"")), HasSubstr("model.merges[0] must be two tokens"));
  EXPECT_THAT(problem(changed("\"c a\"", "\"c the\"")),
              AllOf(HasSubstr("model.merges[3]"), HasSubstr("'cthe', which model.vocab lacks")));
  EXPECT_THAT(problem(changed("\"cat\":260", "\"cat\":259")), HasSubstr("'ca' and 'cat' have the same id 259"));
  EXPECT_THAT(problem(changed("\"cat\":260", "\"cat\":4000000000")), HasSubstr("ids would be unused"));
  EXPECT_THAT(problem(changed("\"cat\":260", "\"cat\":-1")), HasSubstr("no whole number"));
  EXPECT_THAT(problem(changed("\"merges\"", "\"dropout\":0.1,\"merges\"")), HasSubstr("model.dropout"));
  EXPECT_THAT(problem(changed("\"type\":\"ByteLevel\"", "\"type\":\"Megaspace\"")), HasSubstr("'Megaspace'"));
  EXPECT_THAT(problem(byte_level_json("{\"id\":3,\"content\":\"the\"}")), HasSubstr("has id 3 here and 257 elsewhere"));
}

TEST(TokenizerJson, IsRefusedWhenItIsABomb) {
  const auto problem = [](const std::string& json) { return error_of([&] { parsed(json); }); };
  EXPECT_THAT(problem(std::string(1 << 20, '[')), HasSubstr("no valid JSON"));
  std::string nested = "{\"a\":";
  for (int i = 0; i < 100000; ++i) nested += "{\"a\":";
  EXPECT_THAT(problem(nested), HasSubstr("no valid JSON"));
  const std::string split =
      R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"((a{1000}){1000}){1000}"},"behavior":"Isolated"},)"
      R"("model":{"type":"BPE","vocab":{"a":0},"merges":[]}})";
  EXPECT_THAT(problem(split), HasSubstr("pre_tokenizer"));
}

TEST(TokenizerConfig, NamesTheEndsOfATextAndMayHoldNumbersBeyond64Bits) {
  std::string directory = testing::TempDir() + "lathe-config-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const auto load_with = [&](const std::string& config) {
    std::ofstream(directory + "/tokenizer.json") << byte_level_json(added("<x>", ""));
    std::ofstream(directory + "/tokenizer_config.json") << config;
    return Tokenizer::load(directory);
  };
  const std::string named = R"({"model_max_length": 1000000000000000019884624838656, "eos_token": {"content": "<x>"}})";
  EXPECT_EQ(load_with(named).end_token(), kFirstAdded);
  EXPECT_EQ(load_with(R"({"eos_token": null})").end_token(), std::nullopt);
  EXPECT_THAT(error_of([&] { load_with("[" + std::string(500000, '[')); }), HasSubstr("tokenizer_config.json"));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace lathe
