#include "lathe/files/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/files/files_support.h"
#include "tests/support/error_of.h"

namespace lathe {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class GenerationConfigFile : public test::FolderTest {
 protected:
  GenerationConfig read(const std::string& text) {
    write("generation_config.json", text);
    return read_generation_config(path());
  }
};

TEST_F(GenerationConfigFile, SaysNothingWhereItIsNotThere) {
  GenerationConfig config = read_generation_config(path());
  EXPECT_FALSE(config.temperature || config.max_new_tokens || config.num_beams);
  EXPECT_THAT(config.eos_token_ids, IsEmpty());
}

TEST_F(GenerationConfigFile, SaysHowTokensAreChosen) {
  GenerationConfig config = read(R"({"do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.1,
      "repetition_penalty": 1.05, "no_repeat_ngram_size": 3, "max_new_tokens": 77, "eos_token_id": [5, 9],
      "stop_strings": ["\n\n", "User:"]})");
  EXPECT_EQ(config.temperature, 0.7);
  EXPECT_EQ(config.top_p, 0.8);
  EXPECT_EQ(config.top_k, 20);
  EXPECT_EQ(config.min_p, 0.1);
  EXPECT_EQ(config.repetition_penalty, 1.05);
  EXPECT_EQ(config.no_repeat_ngram_size, 3);
  EXPECT_EQ(config.max_new_tokens, 77);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(5, 9));
  EXPECT_THAT(config.stop_strings, ElementsAre("\n\n", "User:"));
}

TEST_F(GenerationConfigFile, MeansWhatTransformersTakesForFieldsThatAreNotThere) {
  GenerationConfig gemma = read(R"({"do_sample": true, "top_k": 64, "top_p": 0.95})");
  EXPECT_EQ(gemma.temperature, 1);
  EXPECT_EQ(gemma.top_k, 64);
  EXPECT_EQ(read(R"({"temperature": 0.6, "top_p": 0.9})").top_k, 50);
  EXPECT_EQ(read(R"({"do_sample": false, "temperature": 0.6})").temperature, 0);
  EXPECT_FALSE(read(R"({"eos_token_id": 2, "do_sample": null})").temperature);
}

TEST_F(GenerationConfigFile, SaysHowTextsAreSearchedFor) {
  GenerationConfig config = read(R"({"num_beams": 4, "length_penalty": 2, "early_stopping": true, "eos_token_id": 2,
      "forced_bos_token_id": 0, "decoder_start_token_id": 2, "stop_strings": "x"})");
  EXPECT_EQ(config.num_beams, 4);
  EXPECT_EQ(config.length_penalty, 2);
  EXPECT_EQ(config.early_stopping, "yes");
  EXPECT_EQ(config.forced_bos_token_id, 0);
  EXPECT_EQ(config.decoder_start_token_id, 2);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2));
  EXPECT_THAT(config.stop_strings, ElementsAre("x"));
}

TEST_F(GenerationConfigFile, NamesWhatLatheDoesNotApply) {
  GenerationConfig config = read(R"({"min_length": 56, "suppress_tokens": [1], "begin_suppress_tokens": [],
      "typical_p": 1.0, "encoder_repetition_penalty": 1.2, "bad_words_ids": null})");
  EXPECT_THAT(config.ignored, ElementsAre("encoder_repetition_penalty", "min_length", "suppress_tokens"));
}

TEST_F(GenerationConfigFile, IsAnErrorThatNamesAFieldOfAnotherType) {
  auto problem = [&](const std::string& text) { return error_of([&] { read(text); }); };
  EXPECT_THAT(problem(R"({"temperature": "hot"})"), HasSubstr("generation_config.json: temperature must be a number"));
  EXPECT_THAT(problem(R"({"top_k": 1.5})"), HasSubstr("top_k must be a whole number"));
  EXPECT_THAT(problem(R"({"eos_token_id": ["</s>"]})"), HasSubstr("eos_token_id must be"));
  EXPECT_THAT(problem("[]"), HasSubstr("generation_config.json: it must be an object"));
}

TEST_F(GenerationConfigFile, KeepsWhatAGgufFileHasKeysFor) {
  GenerationConfig config = read(R"({"do_sample": true, "temperature": 0.5, "top_p": 0.75, "top_k": 20,
      "repetition_penalty": 1.25})");
  GgufMetadata metadata;
  metadata.set_f32("general.sampling.xtc_probability", 0.5);
  add_gguf_sampling(config, metadata);
  write_gguf(path("m.gguf"), metadata, {});
  GenerationConfig found = read_generation_config(path("m.gguf"));
  EXPECT_THAT(found.ignored, ElementsAre("general.sampling.xtc_probability"));
  for (const GenerationConfig& one : {found, read(generation_config_json({}, found))}) {
    EXPECT_EQ(one.temperature, 0.5);
    EXPECT_EQ(one.top_p, 0.75);
    EXPECT_EQ(one.top_k, 20);
    EXPECT_EQ(one.repetition_penalty, 1.25);
  }
}

TEST_F(GenerationConfigFile, SaysGreedyAsTransformersDoes) {
  json written = json::parse(generation_config_json({}, read(R"({"do_sample": false})")));
  EXPECT_EQ(written["do_sample"], false);
  EXPECT_FALSE(written.contains("temperature"));
  EXPECT_FALSE(json::parse(generation_config_json({})).contains("do_sample"));
}

TEST_F(GenerationConfigFile, KeepsTokensThatEndTurnsInGgufFiles) {
  GgufMetadata metadata;
  const int64_t ends[] = {5, 7, 5, 9, 11};
  add_gguf_end_tokens(ends, 5, metadata);
  write_gguf(path("m.gguf"), metadata, {});
  GenerationConfig found = read_generation_config(path("m.gguf"));
  EXPECT_THAT(found.eos_token_ids, ElementsAre(7, 9));
  EXPECT_THAT(read(generation_config_json({.eos_token_id = 5}, found)).eos_token_ids, ElementsAre(5, 7, 9));
}

}  // namespace
}  // namespace lathe
