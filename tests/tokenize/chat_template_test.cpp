#include "lathe/tokenize/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/tokenize/trainer.h"
#include "tests/support/checkout.h"
#include "tests/support/error_of.h"
#include "tests/tokenize/chat_support.h"
#include "tests/tokenize/tokenize_support.h"

namespace lathe {
namespace {

using Json = nlohmann::ordered_json;
using test::Rendering;
using testing::HasSubstr;

/// One message of this role and content.
Conversation saying(const std::string& role, const std::string& content) {
  Conversation conversation;
  conversation.messages = Json::array({{{"role", role}, {"content", content}}});
  return conversation;
}

/// `text` with every marked byte as '#'.
std::string shown(const MarkedText& text) {
  std::string bytes = text.bytes();
  for (ByteRange range : text.marked()) std::fill(bytes.begin() + range.begin, bytes.begin() + range.end, '#');
  return bytes;
}

/// Puts `text` behind every text of a JSON value but roles and types.
void append_everywhere(Json& json, const std::string& text) {
  if (json.is_string()) json = json.get<std::string>() + text;
  if (json.is_array())
    for (Json& item : json) append_everywhere(item, text);
  if (!json.is_object()) return;
  for (auto item : json.items())
    if (item.key() != "role" && item.key() != "type" && item.key() != "id" && item.key() != "tool_call_id")
      append_everywhere(item.value(), text);
}

std::vector<TokenId> special_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<TokenId> special;
  for (TokenId id : ids)
    if (tokenizer.is_special(id)) special.push_back(id);
  return special;
}

TEST(ChatTemplate, WritesWhatTransformersWritesOfEveryTemplate) {
  if (shared_data("chat_templates").empty()) GTEST_SKIP() << no_shared_data("chat_templates");
  int count = 0;
  for (const Rendering& rendering : test::renderings()) {
    SCOPED_TRACE(rendering.file);
    MarkedText text = test::shared_template(rendering.file).render(rendering.conversation, rendering.special);
    EXPECT_EQ(text.bytes(), rendering.expected);
    ++count;
  }
  EXPECT_EQ(count, 112);
}

TEST(SlowChatTemplate, NeverTurnsAMessageIntoAControlToken) {
  if (shared_data("chat_templates").empty()) GTEST_SKIP() << no_shared_data("chat_templates");
  for (const Rendering& rendering : test::renderings()) {
    SCOPED_TRACE(rendering.file);
    const ChatTemplate& chat_template = test::shared_template(rendering.file);
    Tokenizer tokenizer = test::tokenizer_of(chat_template);
    for (const AddedToken& token : tokenizer.added_tokens()) {
      Conversation conversation = rendering.conversation;
      append_everywhere(conversation.messages, "Zq" + token.content + "qZ");
      append_everywhere(conversation.tools, "Zq" + token.content + "qZ");
      MarkedText text = chat_template.render(conversation, rendering.special);
      EXPECT_EQ(shown(text).find("Zq"), std::string::npos) << token.content;
      std::vector<TokenId> ids;
      tokenizer.encode_marked(text, ids);
      EXPECT_EQ(special_of(tokenizer, ids), special_of(tokenizer, tokenizer.encode(shown(text)))) << token.content;
      EXPECT_EQ(tokenizer.decode(ids), text.bytes());
    }
  }
}

TEST(ChatTemplate, KeepsMarksThroughEveryChangeOfAText) {
  auto shown_of = [](const std::string& source) {
    return shown(ChatTemplate(source, "t").render(saying("user", " <|a|> b,c ")));
  };
  EXPECT_EQ(shown_of("[{{ messages[0].content }}]"), "[###########]");
  EXPECT_EQ(shown_of("[{{ messages[0].content | trim }}]"), "[#########]");
  EXPECT_EQ(shown_of("[{{ messages[0]['content'].split(',') | join('+') }}]"), "[########+##]");
  EXPECT_EQ(shown_of("[{{ '<' + messages[0].content[1:4] ~ '>' }}]"), "[<###>]");
  EXPECT_EQ(shown_of("[{{ messages[0].content.replace('a', 'XY') }}]"), "[###XY#######]");
  EXPECT_EQ(shown_of("[{{ messages[0].content | upper | reverse }}]"), "[###########]");
  EXPECT_EQ(shown_of("[{{ messages[0].content | tojson }}]"), "[\"###########\"]");
  EXPECT_EQ(shown_of("[{{ [messages[0].content] }}]"), "[['###########']]");
  EXPECT_EQ(shown_of("{% macro m(x) %}({{ x }}){% endmacro %}{% set y = m(messages[0].content) %}[{{ y * 2 }}]"),
            "[(###########)(###########)]");
  EXPECT_EQ(shown_of("{% set x %}<{{ messages[0].content | indent }}>{% endset %}{{ x | e }}"),
            "&lt;#################&gt;");
}

TEST(ChatTemplate, SpellsControlTokensWithUsualRolesAlone) {
  ChatTemplate chat_template("<|{{ messages[0].role }}|>{{ messages[0].content }}", "t");
  EXPECT_EQ(shown(chat_template.render(saying("user", "x"))), "<|user|>#");
  EXPECT_EQ(shown(chat_template.render(saying("im_end", "x"))), "<|######|>#");
}

TEST(ChatTemplate, EncodesHarmlessTextAsIfNothingWereMarked) {
  Tokenizer tokenizer = Tokenizer::parse(
      test::byte_level_json(R"({"id":262,"content":"<|end|>","special":true,"normalized":false,"rstrip":true})"), "t");
  ChatTemplate chat_template("<|end|>{{ messages[0].content }}the{{ messages[0].content }}<|end|>", "t");
  for (const char* content : {"", " the", "  cat", "t", "he cat the", "\n"}) {
    MarkedText text = chat_template.render(saying("user", content));
    std::vector<TokenId> ids;
    tokenizer.encode_marked(text, ids);
    EXPECT_EQ(ids, tokenizer.encode(text.bytes())) << content;
  }
}

TEST(ChatTemplate, CutsWhatAModelOfWordsWouldTakeForAControlToken) {
  TokenizerTrainer trainer({.kind = TokenizerKind::words, .vocabulary_size = 20, .special_tokens = {"<unk>", "SEP"}});
  trainer.add("to be or not to be");
  Tokenizer tokenizer = trainer.train();
  std::vector<TokenId> ids;
  tokenizer.encode_marked(MarkedText::all_marked("to SEP be"), ids);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer.id("SEP")), 0);
  EXPECT_EQ(ids.front(), *tokenizer.id("to"));
  EXPECT_EQ(ids.back(), *tokenizer.id("be"));
}

TEST(ChatTemplate, GivesTheTemplateWhatTransformersGives) {
  ChatTemplate chat_template(
      "{{ bos_token }}{{ tools is none }}{{ add_generation_prompt }}{{ enable_thinking }}{{ documents }}", "t");
  Conversation conversation = saying("user", "x");
  conversation.options = {{"enable_thinking", false}};
  EXPECT_EQ(chat_template.render(conversation, {{"bos_token", "<s>"}}).bytes(), "<s>TrueTrueFalseNone");
}

TEST(ChatTemplate, ReadsConversationsFromJson) {
  Conversation plain = read_conversation(R"([{"role": "user", "content": "a", "b": 1, "a": 2}])", "m.json");
  EXPECT_EQ(plain.messages[0].dump(), R"({"role":"user","content":"a","b":1,"a":2})");
  Conversation full = read_conversation(R"({"tools": [1], "messages": [{"role": "user"}]})", "m.json");
  EXPECT_EQ(full.tools.dump(), "[1]");
  auto error = [](const char* json) { return error_of([&] { read_conversation(json, "m.json"); }); };
  EXPECT_THAT(error("3"), HasSubstr("m.json: neither a list of messages nor"));
  EXPECT_THAT(error("[]"), HasSubstr("m.json: neither a list of messages nor"));
  EXPECT_THAT(error(R"([{"role": "user"}, {"role": 3}])"), HasSubstr("m.json: message 2 is no object with a text"));
  EXPECT_THAT(error("[{"), HasSubstr("m.json:1: not JSON"));
}

}  // namespace
}  // namespace lathe
