// What tokenizer_config.json, special_tokens_map.json and added_tokens.json say of a bare vocabulary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/tokenize/tokenizer.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_directory.h"
#include "tests/tokenize/tokenize_support.h"

namespace lathe {
namespace {

using test::pieces;
using testing::HasSubstr;

constexpr const char* kRoberta = R"({"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"h":4,"i":5,"\u0120":6,"hi":7,"<mask>":8})";

class VocabularySettings : public testing::Test {
 protected:
  TemporaryDirectory folder_;
  Tokenizer load() const { return Tokenizer::load(folder_.path()); }
  std::string problem() const {
    return error_of([&] { load(); });
  }
  std::string whole(std::string_view text) const { return pieces(load(), load().encode_with_template(text)); }
  void write_roberta() const {
    folder_.file("vocab.json", kRoberta);
    folder_.file("merges.txt", "#version: 0.2\nh i\n");
    folder_.file("config.json", R"({"model_type":"roberta"})");
  }
  void write_bert() const { folder_.file("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhi\nHI\n"); }
};

TEST_F(VocabularySettings, PutEndsAroundTheTextsOfRoberta) {
  write_roberta();
  EXPECT_EQ(whole("hi hi<mask>"), "<s>|hi|Ġ|hi|<mask>|</s>");
  EXPECT_EQ(pieces(load(), load().encode_pair("hi", "h").ids), "<s>|hi|</s>|</s>|h|</s>");
  EXPECT_EQ(load().begin_token(), 0u);
  EXPECT_EQ(load().mask_token(), 8u);
}

TEST_F(VocabularySettings, AddTokensBehindTheVocabulary) {
  write_roberta();
  folder_.file("added_tokens.json", R"({"<new>": 9, "hihi": 10})");
  folder_.file("special_tokens_map.json", R"({"additional_special_tokens": ["<new>", "<more>"],
      "mask_token": {"content": "<mask>", "lstrip": true, "rstrip": false, "normalized": false, "single_word": false}})");
  const Tokenizer tokenizer = load();
  EXPECT_EQ(tokenizer.id("<more>"), 11u);
  EXPECT_EQ(pieces(tokenizer, "hi <mask><new>hihi<more>"), "hi|<mask>|<new>|hihi|<more>");
  EXPECT_TRUE(tokenizer.is_special(9));
  EXPECT_FALSE(tokenizer.is_special(10));
}

TEST_F(VocabularySettings, TakeTheListOfTokenizerConfigForComplete) {
  write_roberta();
  folder_.file("added_tokens.json", R"({"<old>": 9})");
  folder_.file("tokenizer_config.json", R"({"added_tokens_decoder": {"9": {"content": "<new>", "special": true}}})");
  EXPECT_FALSE(load().id("<old>"));
  EXPECT_EQ(load().id("<new>"), 9u);
}

TEST_F(VocabularySettings, SayWhetherBertReadsLowerCase) {
  write_bert();
  EXPECT_EQ(whole("HI hi"), "[CLS]|HI|hi|[SEP]") << "a vocabulary with capitals";
  folder_.file("tokenizer_config.json", "{}");
  EXPECT_EQ(whole("HI hi"), "[CLS]|hi|hi|[SEP]") << "what transformers does unless told otherwise";
  folder_.file("tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_EQ(whole("HI hi"), "[CLS]|HI|hi|[SEP]");
}

TEST_F(VocabularySettings, NameTheTokensOfATokenizerJsonToo) {
  folder_.file("tokenizer.json", test::byte_level_json());
  folder_.file("tokenizer_config.json", R"({"eos_token": "the"})");
  folder_.file("special_tokens_map.json", R"({"eos_token": "cat", "pad_token": "the"})");
  EXPECT_EQ(load().end_token(), load().id("cat")) << "the map goes before, as in transformers";
  EXPECT_EQ(load().pad_token(), load().id("the"));
}

TEST_F(VocabularySettings, AreRefusedByNameWhenTheyAreWrong) {
  write_roberta();
  const auto wrong = [&](const char* file, const char* content) {
    folder_.file(file, content);
    const std::string message = problem();
    std::filesystem::remove(folder_.path(file));
    return message;
  };
  EXPECT_THAT(wrong("added_tokens.json", R"({"<new>": -1})"), HasSubstr("added_tokens.json: <new>: -1 is no possible"));
  EXPECT_THAT(wrong("added_tokens.json", R"({"<new>": 4000000000})"), HasSubstr("4000000000 is no possible id"));
  EXPECT_THAT(wrong("added_tokens.json", R"({"<new>": 2000000000})"), HasSubstr("2000000000"));
  EXPECT_THAT(wrong("added_tokens.json", R"({"<new>": 4})"),
              HasSubstr("vocab.json: added_tokens: tokens 'h' and '<new>' have the same id 4"));
  EXPECT_THAT(wrong("added_tokens.json", R"({"hi": 4})"), HasSubstr("'hi' has id 4 here and 7 elsewhere"));
  EXPECT_THAT(wrong("added_tokens.json", "[]"), HasSubstr("added_tokens.json is no JSON object"));
  EXPECT_THAT(wrong("special_tokens_map.json", R"({"bos_token": 3})"), HasSubstr("special_tokens_map.json: bos_token"));
  EXPECT_THAT(wrong("tokenizer_config.json", R"({"do_lower_case": "yes"})"), HasSubstr("do_lower_case must be"));
  EXPECT_THAT(wrong("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})"),
              HasSubstr("added_tokens_decoder: \"x\" is no id"));
  EXPECT_THAT(wrong("tokenizer_config.json", R"({"cls_token": "<none>"})"), HasSubstr("<none>"));
}

}  // namespace
}  // namespace lathe
