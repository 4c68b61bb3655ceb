#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lathe/base/durable_file.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/tokenize/trainer.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kTemplate =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// What the terminal is told when a line is asked for, and when it is there.
constexpr const char *kAsks = "\x1b[?2004h", *kAnswers = "\x1b[?2004l";

/// A directory with an untrained model of 256 positions whose tokens are bytes, and a chat template.
class ChatCommand : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    make_model(32);
  }
  static void make_model(int64_t hidden_size) {
    TokenizerTraining training{.vocabulary_size = 259};
    training.special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    TokenizerTrainer trainer(training);
    trainer.add("a");
    trainer.train().save(model());
    ModelConfig config;
    config.model_type = "llama";
    config.vocab_size = 259;
    config.hidden_size = hidden_size;
    config.num_hidden_layers = 2;
    config.num_attention_heads = 4;
    config.num_key_value_heads = 2;
    config.max_position_embeddings = 256;
    config.initializer_range = 0.3;
    config = completed(config);
    Runtime runtime({}, int64_t{128} << 20);
    std::unique_ptr<Model> weights = ready_model(config);
    replace_file(model() + "/config.json", model_config_json(config, DType::f32));
    save_tensors(model(), tensor_sources(weights->inventory(), DType::f32), int64_t{1} << 30);
    set_template(kTemplate);
  }
  static void TearDownTestSuite() { directory_.reset(); }

  static std::string model() { return directory_->path("model"); }
  static std::string path(const std::string& name) { return directory_->path(name); }
  static void set_template(const json& chat_template) {
    replace_file(model() + "/tokenizer_config.json",
                 json{{"eos_token", "<|endoftext|>"}, {"chat_template", chat_template}}.dump());
  }
  static std::vector<std::string> words(const char* command, std::vector<std::string> more = {}) {
    std::vector<std::string> all = {command, model(),         "--dtype", "f32",          "--threads",
                                    "1",     "--temperature", "0",       "--max-tokens", "12"};
    if (!more.empty() && more[0] == "--max-tokens") all.resize(all.size() - 2);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static ProgramResult chat(const std::string& input, std::vector<std::string> more = {}, int status = 0) {
    ProgramResult result = run_lathe(words("chat", std::move(more)), input);
    EXPECT_EQ(result.status, status) << result.errors;
    return result;
  }
  static json saved(const std::string& name) { return json::parse(content_of(path(name)))["messages"]; }

  static std::unique_ptr<TemporaryDirectory> directory_;
};
std::unique_ptr<TemporaryDirectory> ChatCommand::directory_;

TEST_F(ChatCommand, AnswersEachLineOfAPipe) {
  ProgramResult result = chat("hello\n\nand then?\n/save " + path("a.json") + "\n");
  json messages = saved("a.json");
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0], (json{{"role", "user"}, {"content", "hello"}}));
  EXPECT_EQ(messages[2]["content"], "and then?");
  EXPECT_EQ(result.output,
            messages[1]["content"].get<std::string>() + "\n" + messages[3]["content"].get<std::string>() + "\n");
  EXPECT_THAT(result.errors, HasSubstr("tokens/s"));
}

TEST_F(ChatCommand, ComputesJustWhatIsNewInAConversation) {
  // <|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n has 24 tokens; the answer's only one is not yet
  // computed.
  ProgramResult result = chat("hello\nagain\n/save " + path("n.json") + "\n", {"--max-tokens", "1"});
  size_t answer = saved("n.json")[1]["content"].get<std::string>().size();
  EXPECT_THAT(result.errors, HasSubstr("; 24 new in the prompt"));
  EXPECT_THAT(result.errors, HasSubstr("; " + std::to_string(answer + 26) + " new in the prompt"));
}

TEST_F(ChatCommand, AnswersAsGenerateDoesAfterTheSameMessages) {
  chat("hello\nagain\n/save " + path("b.json") + "\n", {"--system", "Be brief."});
  json messages = saved("b.json");
  EXPECT_EQ(messages[0], (json{{"role", "system"}, {"content", "Be brief."}}));
  json asked = json::array({messages[0], messages[1], messages[2], messages[3]});
  replace_file(path("asked.json"), json{{"messages", asked}}.dump());
  ProgramResult result = run_lathe(words("generate", {"--messages", path("asked.json")}));
  EXPECT_EQ(result.output, messages[4]["content"].get<std::string>() + "\n") << result.errors;
  result = run_lathe(words("generate", {"--chat", "--system", "Be brief.", "--prompt", "hello", "--json"}));
  EXPECT_EQ(json::parse(result.output)["text"], messages[2]["content"]) << result.errors;
  EXPECT_EQ(json::parse(result.output)["prompt"], "hello");
}

TEST_F(ChatCommand, GoesOnAfterSavedMessages) {
  chat("hello\n/save " + path("c.json") + "\n");
  ProgramResult whole = chat("hello\nagain\n"), resumed = chat("/load " + path("c.json") + "\nagain\n");
  EXPECT_THAT(whole.output, testing::EndsWith("\n" + resumed.output));
}

TEST_F(ChatCommand, BeginsAnewWithResetAndSystem) {
  std::string once = chat("hello\n").output;
  EXPECT_EQ(chat("hello\n/reset\nhello\n").output, once + once);
  ProgramResult result = chat("hello\n/system Be brief.\n/system\nhello\n/save " + path("d.json") + "\n");
  EXPECT_THAT(result.errors, HasSubstr("\nBe brief.\n"));
  EXPECT_EQ(saved("d.json").size(), 3u);
}

TEST_F(ChatCommand, TakesCommandsAndMessagesThatBeginWithASlash) {
  EXPECT_THAT(chat("/help\n").errors, HasSubstr("/save FILE"));
  EXPECT_EQ(chat("/exit\nhello\n").output, "");
  chat("//hello\n/save " + path("e.json") + "\n");
  EXPECT_EQ(saved("e.json")[0]["content"], "/hello");
}

TEST_F(ChatCommand, TakesControlTokensInAMessageForText) {
  // ten more bytes of text, and not one token
  EXPECT_THAT(chat("hello<|im_end|>\n").errors, HasSubstr("; 34 new in the prompt"));
}

TEST_F(ChatCommand, EndsAScriptAtItsFirstMistake) {
  EXPECT_THAT(chat("/rest\nhello\n", {}, 1).errors, HasSubstr("there is no command /rest; did you mean '/reset'?"));
  EXPECT_THAT(chat("/save\n", {}, 1).errors, HasSubstr("/save needs the name of a file"));
  EXPECT_THAT(chat("/load nowhere.json\n", {}, 1).errors, HasSubstr("nowhere.json"));
  EXPECT_THAT(chat(std::string(300, 'a') + "\n", {}, 1).errors,
              HasSubstr("the conversation has 319 tokens; the context of 256 leaves no room"));
}

TEST_F(ChatCommand, SaysWhatIsWrongWithATemplate) {
  replace_file(path("t.jinja"), "{{ raise_exception('not ' + messages[0].content) }}");
  EXPECT_THAT(chat("you\n", {"--chat-template", path("t.jinja")}, 1).errors, HasSubstr("t.jinja:1: not you"));
  replace_file(path("t.jinja"), "a\n{% include 'x' %}");
  EXPECT_THAT(chat("you\n", {"--chat-template", path("t.jinja")}, 1).errors, HasSubstr("t.jinja:2: {% include %}"));
  EXPECT_THAT(run_lathe(words("generate", {"--system", "a", "--prompt", "b"})).errors,
              HasSubstr("--system needs --chat"));
}

TEST_F(ChatCommand, FindsTheTemplateOfAModel) {
  auto errors = [] { return chat("x\n", {}, 1).errors; };
  set_template("{{ raise_exception('of the text') }}");
  EXPECT_THAT(errors(), HasSubstr("tokenizer_config.json: chat_template:1: of the text"));
  set_template(json::array({{{"name", "tool_use"}, {"template", "{{ x }}"}},
                            {{"name", "default"}, {"template", "{{ raise_exception('of the list') }}"}}}));
  EXPECT_THAT(errors(), HasSubstr("of the list"));
  set_template(json::array({{{"name", "a"}, {"template", "x"}}, {{"name", "b"}, {"template", "y"}}}));
  EXPECT_THAT(errors(), HasSubstr("none of the templates is named \"default\"; there are: a, b"));
  replace_file(model() + "/chat_template.jinja", "{{ raise_exception('of the file') }}");
  EXPECT_THAT(errors(), HasSubstr("chat_template.jinja:1: of the file"));
  std::filesystem::remove(model() + "/chat_template.jinja");
  replace_file(model() + "/tokenizer_config.json", "{}");
  EXPECT_THAT(errors(), HasSubstr("has no chat template"));
  set_template(kTemplate);
}

TEST_F(ChatCommand, GivesATemplateWhatItAsksFor) {
  replace_file(path("t.jinja"), "{{ raise_exception(a ~ b ~ c) }}");
  ProgramResult result = chat("x\n",
                              {"--chat-template", path("t.jinja"), "--template-set", "a=false", "--template-set",
                               "b=word", "--template-set", "c=[1]"},
                              1);
  EXPECT_THAT(result.errors, HasSubstr("t.jinja:1: Falseword[1]"));
}

TEST_F(ChatCommand, EditsLinesInATerminal) {
  std::string file = path("t.json");
  ProgramResult result =
      run_lathe_in_terminal(words("chat"), {{kAsks,
                                             "hxllo\x1b[D\x1b[D\x1b[D\x7f"
                                             "e\r"},                               // arrows and backspace
                                            {kAsks, "\x1b[A\x01say \x05\x0b!\r"},  // history, Home, End
                                            {kAsks, "gone\x03"},                   // an empty line
                                            {kAsks, "/nonsense\r"},
                                            {kAsks, "\x1b[200~two\rlines\x1b[201~\r"},
                                            {kAsks, "/save " + file + "\r"},
                                            {kAsks, "\x04"}});
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("there is no command /nonsense"));
  json messages = saved("t.json");
  ASSERT_EQ(messages.size(), 6u);
  EXPECT_EQ(messages[0]["content"], "hello");
  EXPECT_EQ(messages[2]["content"], "say hello!");
  EXPECT_EQ(messages[4]["content"], "two\nlines");
}

using SlowChatCommand = ChatCommand;

TEST_F(SlowChatCommand, EndsAnAnswerAndNotTheChatAtCtrlC) {
  make_model(512);  // takes long enough for a token
  std::vector<std::string> arguments = words("chat", {"--max-tokens", "220"});
  std::string file = path("i.json"), answer = chat("hello\n").output;
  ProgramResult result = run_lathe_in_terminal(arguments, {{kAsks, "hello\r"},
                                                           {kAnswers, ""},
                                                           {answer.substr(0, 1), "\x03"},
                                                           {kAsks, "/save " + file + "\r"},
                                                           {kAsks, "/exit\r"}});
  EXPECT_THAT(result.output, HasSubstr("interrupted"));
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(saved("i.json").size(), 2u);
}

}  // namespace
}  // namespace lathe
