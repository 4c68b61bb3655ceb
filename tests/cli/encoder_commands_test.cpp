#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lathe/base/durable_file.h"
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

/// Untrained models whose tokens are bytes: an encoder with no head, and an encoder-decoder.
class EncoderCommands : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = fs::temp_directory_path() / ("lathe_encoders_" + std::to_string(getpid()));
    make("bert", "BertModel");
    make("t5", "T5ForConditionalGeneration");
  }
  static void TearDownTestSuite() { fs::remove_all(directory_); }

  static void make(const std::string& model_type, const std::string& architecture) {
    fs::create_directories(path(model_type));
    TokenizerTrainer trainer({.vocabulary_size = 257});
    trainer.add("a");
    trainer.train().save(path(model_type));
    ModelConfig config;
    config.model_type = model_type;
    config.architecture = architecture;
    config.vocab_size = 257;
    config.hidden_size = 32;
    config.num_hidden_layers = 2;
    config.num_attention_heads = 4;
    config.max_position_embeddings = 64;
    config.initializer_range = 0.3;
    config = completed(config);
    Runtime runtime({}, int64_t{16} << 20);
    std::unique_ptr<Model> weights = ready_model(config);
    replace_file(path(model_type) + "/config.json", model_config_json(config, DType::f32));
    save_tensors(path(model_type), tensor_sources(weights->inventory(), DType::f32), int64_t{1} << 30);
  }

  static std::string path(const std::string& name) { return (directory_ / name).string(); }
  static std::string file(const std::string& name, const std::string& content) {
    std::ofstream(directory_ / name) << content;
    return path(name);
  }
  static ProgramResult run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--dtype", "f32", "--threads", "1"});
    return run_lathe(arguments);
  }
  static std::vector<std::vector<float>> vectors(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"embed", path("bert")});
    ProgramResult result = run(std::move(arguments));
    EXPECT_EQ(result.status, 0) << result.errors;
    std::vector<std::vector<float>> all;
    std::istringstream lines(result.output);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_EQ(json::parse(line)["index"], all.size());
      all.push_back(json::parse(line)["embedding"].get<std::vector<float>>());
    }
    return all;
  }
  static void expect_near(const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5f) << i;
  }

  static fs::path directory_;
};
fs::path EncoderCommands::directory_;

TEST_F(EncoderCommands, InfoNamesTheFilesArchitectureAndNoCacheOfAnEncoder) {
  ProgramResult result = run_lathe({"info", path("bert"), "--json"});
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_EQ(json::parse(result.output)["architecture"], "BertModel");
  EXPECT_EQ(json::parse(result.output)["cache_bytes_per_token_bf16"], 0);
}

TEST_F(EncoderCommands, EmbedGivesVectorsInTheOrderOfTheTexts) {
  std::string texts = file("texts.txt", "two words\na much longer line of words\nx\n");
  auto together = vectors({"first", "--file", texts, "--batch", "3"});
  ASSERT_EQ(together.size(), 4u);
  const char* each[] = {"first", "two words", "a much longer line of words", "x"};
  for (size_t i = 0; i < 4; ++i) expect_near(together[i], vectors({each[i]})[0]);
}

TEST_F(EncoderCommands, EmbedPoolsAsTheModelsOwnFilesSay) {
  fs::create_directories(path("bert") + "/1_Pooling");
  file("bert/modules.json", R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
      {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
      {"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}])");
  file("bert/1_Pooling/config.json", R"({"word_embedding_dimension": 32, "pooling_mode_cls_token": true,
      "pooling_mode_mean_tokens": true})");
  file("bert/sentence_bert_config.json", R"({"max_seq_length": 8, "do_lower_case": false})");
  auto own = vectors({"a text that is cut"})[0], cut = vectors({"a text t"})[0];
  expect_near(own, cut);
  ASSERT_EQ(own.size(), 64u);
  double squares = 0;
  for (float x : own) squares += double(x) * double(x);
  EXPECT_NEAR(squares, 1, 1e-5);
  auto first = vectors({"a text", "--pooling", "first", "--no-normalize"})[0];
  auto both = vectors({"a text", "--no-normalize"})[0];
  expect_near(first, {both.begin(), both.begin() + 32});
  file("bert/modules.json", R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Dense"}])");
  EXPECT_THAT(run({"embed", path("bert"), "x"}).errors, HasSubstr("Dense\" is not supported"));
  fs::remove(path("bert") + "/modules.json");
}

TEST_F(EncoderCommands, EmbedWritesWhatNumPyReads) {
  std::string lines = file("texts.jsonl", "{\"body\": \"one\"}\n{\"body\": \"another\"}\n");
  ProgramResult result =
      run({"embed", path("bert"), "--file", lines, "--text-field", "body", "--out", path("out.npy")});
  ASSERT_EQ(result.status, 0) << result.errors;
  std::ifstream in(path("out.npy"), std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  ASSERT_EQ(bytes.size(), 128 + 2 * 32 * 4u);
  EXPECT_THAT(bytes.substr(0, 128), HasSubstr("'shape': (2, 32)"));
  std::vector<float> second(32);
  std::memcpy(second.data(), bytes.data() + 128 + 32 * 4, 32 * 4);
  expect_near(second, vectors({"another"})[0]);
}

TEST_F(EncoderCommands, SayWhichModelsTheyAreFor) {
  EXPECT_THAT(run({"embed", path("t5"), "x"}).errors, HasSubstr("t5 does not read whole texts"));
  EXPECT_THAT(run({"generate", path("bert"), "--prompt", "x"}).errors, HasSubstr("cannot continue"));
  EXPECT_THAT(run({"evaluate", "perplexity", path("bert"), file("text.txt", "x y z")}).errors,
              HasSubstr("perplexity means nothing for bert"));
  EXPECT_THAT(run({"embed", path("bert"), "--out", "x.csv", "y"}).errors, HasSubstr("name a .npy or a .jsonl file"));
  EXPECT_THAT(run({"embed", path("bert")}).errors, HasSubstr("give texts, or a --file"));
  EXPECT_THAT(run({"embed", path("bert"), "x", "--pooling", "middle"}).errors, HasSubstr("none of first"));
}

TEST_F(EncoderCommands, GenerateWritesAboutWhatAnEncoderDecoderReads) {
  auto text_of = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"generate", path("t5"), "--max-tokens", "12"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ProgramResult result = run(arguments);
    EXPECT_EQ(result.status, 0) << result.errors;
    return result.output;
  };
  std::string two = text_of({"--prompt", "a source", "--prompt", "another one", "--temperature", "0", "--json"});
  std::string one = text_of({"--prompt", "another one", "--temperature", "0", "--json"});
  std::istringstream lines(two);
  std::string first, second;
  std::getline(lines, first), std::getline(lines, second);
  EXPECT_EQ(json::parse(second)["text"], json::parse(one)["text"]);
  EXPECT_EQ(json::parse(one)["prompt_tokens"], 11);
  std::string searched = text_of({"--prompt", "another one", "--beams", "3", "--no-repeat-ngram", "2", "--json"});
  EXPECT_EQ(json::parse(searched)["new_tokens"], 12);
  EXPECT_THAT(run({"generate", path("t5"), "--prompt", "x", "--beams", "0"}).errors, HasSubstr("number of beams, 0"));
}

TEST_F(EncoderCommands, GenerateRefusesToBeginWithATokenThatTheModelHasNot) {  // it was read beyond the table
  for (const char* field : {"decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id"}) {
    file("t5/generation_config.json", text("{\"", field, "\": 1000000}"));
    ProgramResult result = run({"generate", path("t5"), "--prompt", "x"});
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.errors, HasSubstr(text(field, " 1000000 is no token of the model's 257")));
  }
  fs::remove(path("t5") + "/generation_config.json");
}

TEST_F(EncoderCommands, EmbedPutsTheModelsOwnPromptBeforeTexts) {
  fs::copy(path("bert"), path("prompted"));
  fs::create_directories(path("prompted") + "/pool");
  file("prompted/modules.json", R"([{"path":"","type":"Transformer"}, {"path":"pool","type":"Pooling"}])");
  file("prompted/pool/config.json", R"({"pooling_mode_mean_tokens": true})");
  const char* prompts = R"({"prompts": {"query": "ask: ", "other": "x"}, "default_prompt_name": "query"})";
  file("prompted/config_sentence_transformers.json", prompts);
  ProgramResult result = run({"embed", path("prompted"), "it"});
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_THAT(result.errors, HasSubstr("each text stands behind \"ask: \""));
  expect_near(json::parse(result.output)["embedding"].get<std::vector<float>>(), vectors({"ask: it"})[0]);
  file("prompted/pool/config.json", R"({"pooling_mode_mean_tokens": true, "include_prompt": false})");
  EXPECT_THAT(run({"embed", path("prompted"), "it"}).errors, HasSubstr("include_prompt is false"));
  file("prompted/pool/config.json", R"({"pooling_mode_mean_tokens": true})");
  file("prompted/sentence_bert_config.json", R"({"do_lower_case": true})");
  EXPECT_THAT(run({"embed", path("prompted"), "it"}).errors, HasSubstr("do_lower_case"));
}

TEST_F(EncoderCommands, TakeTextsInBracketsForTexts) {  // CLI11 takes them for lists
  auto bracketed = vectors({"[a, b]", "[c]"});
  ASSERT_EQ(bracketed.size(), 2u);
  expect_near(bracketed[0], vectors({"--file", file("brackets.txt", "[a, b]\n")})[0]);
}

}  // namespace
}  // namespace lathe
