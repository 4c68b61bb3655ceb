#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lathe/base/durable_file.h"
#include "lathe/base/utf8.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/tokenize/trainer.h"
#include "tests/support/program.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
  return lines;
}

/// A directory with an untrained model of 64 positions whose tokens are bytes.
class GenerateCommand : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = fs::temp_directory_path() / ("lathe_generate_" + std::to_string(getpid()));
    fs::create_directories(model());
    TokenizerTrainer trainer({.vocabulary_size = 257});
    trainer.add("a");
    trainer.train().save(model());
    ModelConfig config;
    config.model_type = "llama";
    config.vocab_size = 257;
    config.hidden_size = 32;
    config.num_hidden_layers = 2;
    config.num_attention_heads = 4;
    config.num_key_value_heads = 2;
    config.max_position_embeddings = 64;
    config.initializer_range = 0.3;
    config = completed(config);
    Runtime runtime({}, int64_t{16} << 20);
    std::unique_ptr<Model> weights = ready_model(config);
    replace_file(model() + "/config.json", model_config_json(config, DType::f32));
    save_tensors(model(), tensor_sources(weights->inventory(), DType::f32), int64_t{1} << 30);
  }
  static void TearDownTestSuite() { fs::remove_all(directory_); }

  static std::string model() { return (directory_ / "model").string(); }
  static std::string file(const std::string& name, const std::string& content) {
    std::ofstream(directory_ / name) << content;
    return (directory_ / name).string();
  }
  static ProgramResult generate(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"generate", model(), "--dtype", "f32", "--threads", "1"});
    return run_lathe(arguments);
  }
  static std::string text_of(std::vector<std::string> arguments) {
    ProgramResult result = generate(std::move(arguments));
    EXPECT_EQ(result.status, 0) << result.errors;
    return result.output;
  }

  static fs::path directory_;
};
fs::path GenerateCommand::directory_;

TEST_F(GenerateCommand, WritesTheSameTextForASeedAndOtherForAnother) {
  std::string first = text_of({"--prompt", "Once", "--max-tokens", "40"});
  EXPECT_TRUE(valid_utf8(first));
  EXPECT_GT(first.size(), 20u);
  EXPECT_EQ(text_of({"--prompt", "Once", "--max-tokens", "40"}), first);
  EXPECT_NE(text_of({"--prompt", "Once", "--max-tokens", "40", "--seed", "2"}), first);
  EXPECT_NE(text_of({"--prompt", "Once", "--max-tokens", "40", "--temperature", "0"}), first);
}

TEST_F(GenerateCommand, WritesJsonLinesThatSayWhyATextEnded) {
  std::vector<json> one = lines_of(text_of({"--prompt", "A", "--json", "--max-tokens", "12"}));
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0]["prompt"], "A");
  EXPECT_EQ(one[0]["prompt_tokens"], 1);
  EXPECT_EQ(one[0]["new_tokens"], 12);
  EXPECT_EQ(one[0]["finish_reason"], "length");
  EXPECT_GT(one[0]["tokens_per_second"], 0);
  EXPECT_EQ(lines_of(text_of({"--prompt", "A", "--json", "--max-tokens", "900"}))[0]["finish_reason"], "context");
}

TEST_F(GenerateCommand, WritesTheSameTextsFromOptionsAndFilesInAnyBatch) {
  std::vector<std::string> prompts = {"One", "", "Three \"three\"", "Four"};
  std::string text, objects;
  std::vector<std::string> options;
  for (const std::string& prompt : prompts) {
    text += prompt + "\n";
    objects += json{{"prompt", prompt}, {"id", 7}}.dump() + "\n";
    options.insert(options.end(), {"--prompt", prompt});
  }
  auto texts = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--json", "--max-tokens", "20"});
    std::vector<std::string> all;
    for (const json& line : lines_of(text_of(arguments))) all.push_back(line.at("text"));
    return all;
  };
  std::vector<std::string> expected = texts(options);
  ASSERT_EQ(expected.size(), 4u);
  EXPECT_EQ(texts({"--file", file("prompts.txt", text)}), expected);
  EXPECT_EQ(texts({"--file", file("prompts.jsonl", objects), "--batch", "1"}), expected);
  EXPECT_EQ(texts({"--file", file("prompts.jsonl", objects), "--batch", "3"}), expected);
}

TEST_F(GenerateCommand, EndsAtAStopStringAsItIsWrittenInAShell) {
  json whole = lines_of(text_of({"--prompt", "Once", "--max-tokens", "50", "--json"}))[0];
  std::string text = whole["text"];
  size_t end = text.find_first_not_of("\\\n\t", 10);
  ASSERT_NE(end, std::string::npos);
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  size_t next = end + 1;
  while (next < text.size() && (text[next] & 0xC0) == 0x80) ++next;
  std::string stop = text.substr(end, next - end);
  json stopped = lines_of(
      text_of({"--prompt", "Once", "--max-tokens", "50", "--json", "--stop", "nowhere\\n", "--stop", stop}))[0];
  EXPECT_EQ(stopped["text"], text.substr(0, text.find(stop)));
  EXPECT_EQ(stopped["finish_reason"], "stop_string");
}

TEST_F(GenerateCommand, ChoosesTokensAsTheModelsFilesSayWhereNoOptionDoes) {
  std::string own = (directory_ / "own").string();
  fs::copy(model(), own);
  auto run = [&](std::vector<std::string> more, const std::string& file) {
    replace_file(own + "/generation_config.json", file);
    more.insert(more.begin(), {"generate", own, "--dtype", "f32", "--threads", "1", "--prompt", "Once"});
    return run_lathe(more);
  };
  std::string greedy = text_of({"--prompt", "Once", "--max-tokens", "9", "--temperature", "0"});
  ProgramResult result = run({}, R"({"do_sample": false, "max_new_tokens": 9})");
  EXPECT_EQ(result.output, greedy) << result.errors;
  EXPECT_THAT(result.errors, HasSubstr("temperature 0, most tokens 9, as " + own + "/generation_config.json says"));
  json line = json::parse(run({"--json", "--temperature", "0.5", "--top-k", "3"},
                              R"({"do_sample": true, "temperature": 0.25, "top_p": 0.5, "max_new_tokens": 5})")
                              .output);
  EXPECT_EQ(line["sampling"]["temperature"], 0.5);
  EXPECT_EQ(line["sampling"]["top_k"], 3);
  EXPECT_EQ(line["sampling"]["top_p"], 0.5);
  EXPECT_EQ(line["new_tokens"], 5);
  const std::string beams = R"({"num_beams": 3, "length_penalty": 2, "max_new_tokens": 6})";
  EXPECT_EQ(run({}, beams).output,
            text_of({"--prompt", "Once", "--max-tokens", "6", "--beams", "3", "--length-penalty", "2"}));
  EXPECT_EQ(json::parse(run({"--json", "--stop", "zzz"}, beams).output)["sampling"]["num_beams"], 1);
  EXPECT_THAT(run({}, R"({"temperature": -1})").errors,
              HasSubstr("generation_config.json: temperature -1 must not be negative; the option of that name"));
  EXPECT_THAT(run({}, R"({"min_length": 3, "max_new_tokens": 2})").errors, HasSubstr("does not apply min_length"));
  fs::remove_all(own);
}

TEST_F(GenerateCommand, ComputesInF32WhereTheFilesAreAndNoOptionSaysOtherwise) {
  auto errors = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", model(), "--prompt", "a", "--max-tokens", "1"});
    return run_lathe(more).errors;
  };
  EXPECT_THAT(errors({}), HasSubstr(", f32, memory"));
  EXPECT_THAT(errors({"--dtype", "bf16"}), HasSubstr(", bf16, memory"));
}

TEST_F(GenerateCommand, BeginsAnEmptyPromptWithTheTokenThatEndsTexts) {
  json line = lines_of(text_of({"--prompt", "", "--json", "--max-tokens", "3"}))[0];
  EXPECT_EQ(line["prompt_tokens"], 1);
  EXPECT_EQ(line["new_tokens"], 3);
}

TEST_F(GenerateCommand, SaysWhatIsWrongWithItsArguments) {
  auto error = [](std::vector<std::string> arguments, int status = 1) {
    ProgramResult result = generate(std::move(arguments));
    EXPECT_EQ(result.status, status) << result.errors;
    EXPECT_EQ(result.output, "");
    EXPECT_THAT(result.errors, StartsWith("lathe: "));
    return result.errors;
  };
  EXPECT_THAT(error({}), HasSubstr("give a --prompt, or a --file of prompts"));
  EXPECT_THAT(error({"--prompt", "a", "--temperature", "-1"}), HasSubstr("temperature -1 must not be negative"));
  EXPECT_THAT(error({"--prompt", "a", "--temperature", "hot"}, 2), HasSubstr("--temperature"));
  EXPECT_THAT(error({"--prompt", "a", "--top-p", "0"}), HasSubstr("top-p 0 must be above 0 and at most 1"));
  EXPECT_THAT(error({"--prompt", "a", "--max-tokens", "0"}), HasSubstr("number of new tokens, 0, must be above 0"));
  EXPECT_THAT(error({"--prompt", "a", "--stop", ""}), HasSubstr("a stop string must not be empty"));
  EXPECT_THAT(error({"--prompt", "a", "--batch", "0"}, 2), HasSubstr("--batch"));
  EXPECT_THAT(error({"--prompt", "a", "--step", "3"}), HasSubstr("has no checkpoint of step 3"));
  EXPECT_THAT(error({"--prompt", "a", "--prompt", std::string(64, 'b')}),
              HasSubstr("prompt 2 has 64 tokens; the model's context is 64"));
  EXPECT_THAT(error({"--file", "nowhere.txt"}), HasSubstr("cannot read nowhere.txt"));
  EXPECT_THAT(error({"--file", file("empty.txt", "")}), HasSubstr("empty.txt holds no prompt"));
  EXPECT_THAT(error({"--file", file("bad.jsonl", "{\"prompt\": \"x\"}\n{\"text\": \"y\"}\n")}),
              HasSubstr("bad.jsonl:2: no JSON object with a text \"prompt\""));
}

TEST_F(GenerateCommand, SaysWhatIsWrongWithAModel) {
  auto error = [](const std::string& path) {
    ProgramResult result = run_lathe({"generate", path, "--prompt", "a"});
    EXPECT_EQ(result.status, 1);
    return result.errors;
  };
  EXPECT_THAT(error("nowhere"), HasSubstr("nowhere: no such file or directory"));
  EXPECT_THAT(error(file("plain", "")), HasSubstr("plain: no GGUF file"));
  std::string broken = (directory_ / "broken").string();
  fs::copy(model(), broken);
  fs::resize_file(broken + "/model.safetensors", 5000);
  EXPECT_THAT(error(broken), HasSubstr("model.safetensors"));
  fs::remove(broken + "/model.safetensors");
  EXPECT_THAT(error(broken), HasSubstr(broken));
  replace_file(broken + "/config.json", R"({"model_type": "mamba"})");
  EXPECT_THAT(error(broken), HasSubstr("mamba"));
  fs::remove(broken + "/tokenizer.json");
  EXPECT_THAT(error(broken), HasSubstr(broken));
}

TEST(SlowGenerateCommand, ContinuesWhatTrainWroteWhichLogsItsSamples) {
  fs::path folder = fs::temp_directory_path() / ("lathe_generate_run_" + std::to_string(getpid()));
  fs::remove_all(folder);
  fs::create_directories(folder);
  auto path = [&](const char* name) { return (folder / name).string(); };
  auto lathe = [](std::vector<std::string> arguments) {
    ProgramResult result = run_lathe(std::move(arguments));
    EXPECT_EQ(result.status, 0) << result.errors;
    return result;
  };
  {
    std::ofstream text(path("text.txt"));
    for (int i = 0; i < 3000; ++i) text << "the cat sat on the mat and ";
  }
  lathe({"tokenizer", "train", path("text.txt"), "--out", path("tokenizer"), "--vocabulary-size", "270"});
  lathe({"data", "prepare", path("text.txt"), "--tokenizer", path("tokenizer"), "--out", path("shards")});
  std::ofstream(path("job.toml")) << "run = \"" << path("run") << "\"\n"
                                  << R"([model]
model_type = "llama"
vocab_size = 270
hidden_size = 32
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 32
[optimizer]
learning_rate = 1e-2
[training]
steps = 60
micro_batch = 4
dtype = "f32"
[sample]
every = 40
prompts = ["the cat", ""]
max_new_tokens = 12
temperature = 0.0
[save]
every = 30
[[data.corpus]]
path = ")" << path("shards") << "\"\n";
  ProgramResult trained = lathe({"train", path("job.toml"), "--threads", "1"});
  EXPECT_THAT(trained.errors, HasSubstr("step 40  sample: the cat"));
  EXPECT_THAT(trained.errors, HasSubstr("step 60  sample: the cat sat on the mat"));
  std::ifstream log(path("run/log.jsonl"));
  std::vector<json> samples;
  for (std::string line; std::getline(log, line);)
    if (json event = json::parse(line); event.value("event", "") == "sample") samples.push_back(event);
  ASSERT_EQ(samples.size(), 4u);
  EXPECT_EQ(samples[2]["step"], 60);
  auto written = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", path("run"), "--dtype", "f32", "--prompt", "the cat", "--json"});
    more.insert(more.end(), {"--temperature", "0", "--max-tokens", "12"});
    return lines_of(lathe(more).output).at(0).at("text");
  };
  EXPECT_EQ(written({}), samples[2]["text"]);
  EXPECT_EQ(written({"--step", "60"}), samples[2]["text"]);
  EXPECT_NE(written({"--step", "30"}), "");
  fs::remove_all(folder);
}

TEST_F(GenerateCommand, TakesAPromptInBracketsForOne) {  // CLI11 takes it for a list
  for (std::vector<std::string> prompt : {std::vector<std::string>{"--prompt", "[1, 2, 3]"}, {"--prompt=[1, 2, 3]"}}) {
    prompt.insert(prompt.end(), {"--json", "--max-tokens", "1", "--stop", "[x,y]"});
    std::vector<json> lines = lines_of(text_of(prompt));
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0]["prompt"], "[1, 2, 3]");
  }
}

TEST_F(GenerateCommand, RefusesOptionsThatNothingWouldRead) {
  auto error = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--prompt", "a", "--max-tokens", "1"});
    ProgramResult result = generate(std::move(arguments));
    EXPECT_EQ(result.status, 1) << result.output;
    return result.errors;
  };
  EXPECT_THAT(error({"--length-penalty", "2"}), HasSubstr("--length-penalty is for a search: it needs --beams"));
  EXPECT_THAT(error({"--early-stopping", "yes"}), HasSubstr("--early-stopping is for a search"));
  EXPECT_THAT(error({"--beams", "2", "--temperature", "0.7"}), HasSubstr("--temperature does not go with --beams"));
  EXPECT_THAT(error({"--beams", "2", "--top-k", "3"}), HasSubstr("--top-k does not go with --beams"));
  EXPECT_THAT(error({"--chat-template", "nowhere"}), HasSubstr("--chat-template needs --chat"));
  EXPECT_THAT(error({"--template-set", "a=b"}), HasSubstr("--template-set needs --chat"));
  EXPECT_THAT(error({"--chat", "--template-set", "messages=[]"}), HasSubstr("the conversation gives those"));
}

TEST_F(GenerateCommand, RefusesNumbersThatAreNone) {  // CVE-2026-21869, -34756: each at its ends, and beyond
  for (const char* option : {"--temperature", "--top-p", "--min-p", "--repetition-penalty"})
    for (const char* value : {"-1", "nan", "inf", "-inf"}) {
      ProgramResult result = generate({"--prompt", "a", "--max-tokens", "1", option, value});
      EXPECT_EQ(result.status, 1) << option << value << result.output;
      EXPECT_EQ(result.output, "");
    }
  for (const char* option : {"--max-tokens", "--top-k", "--no-repeat-ngram", "--beams", "--batch"})
    for (const char* value : {"-1", "-9223372036854775808", "1.5"})
      EXPECT_NE(generate({"--prompt", "a", option, value}).status, 0) << option << value;
  EXPECT_THAT(generate({"--prompt", "a", "--beams", "9223372036854775807"}).errors, HasSubstr("from 1 to 256"));
  EXPECT_EQ(generate({"--prompt", "a", "--max-tokens", "9223372036854775807", "--json"}).status, 0);
}

}  // namespace
}  // namespace lathe
