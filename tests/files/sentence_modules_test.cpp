#include "lathe/files/sentence_modules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/base/gguf_writer.h"
#include "tests/files/files_support.h"
#include "tests/support/error_of.h"

namespace lathe {
namespace {

using testing::HasSubstr;

class SentenceModulesFiles : public test::FolderTest {
 protected:
  std::string gguf(const SentenceModules& modules) const {
    GgufMetadata metadata;
    metadata.set_string("general.architecture", "bert");
    add_gguf_sentence_modules(modules, "bert", metadata);
    write_gguf(path("m.gguf"), metadata, {});
    return path("m.gguf");
  }
};

TEST_F(SentenceModulesFiles, ComeBackFromDirectories) {
  SentenceModules modules{.pooling = {Pooling::first, Pooling::max},
                          .normalize = true,
                          .max_tokens = 200,
                          .lowercase = true,
                          .prompt = "query: "};
  write_sentence_modules(modules, 8, path());
  SentenceModules again = read_sentence_modules(path()).value();
  EXPECT_EQ(again.pooling, modules.pooling);
  EXPECT_TRUE(again.normalize);
  EXPECT_EQ(again.max_tokens, 200);
  EXPECT_TRUE(again.lowercase);
  EXPECT_EQ(again.prompt, "query: ");
}

TEST_F(SentenceModulesFiles, CutWhereTheTokenizerDoesIfNothingElseIsSaid) {
  write_sentence_modules({}, 8, path());
  EXPECT_EQ(read_sentence_modules(path())->max_tokens, 0);
  write("tokenizer_config.json", R"({"model_max_length": 1000000000000000019884624838656})");
  EXPECT_EQ(read_sentence_modules(path())->max_tokens, 0);
  write("tokenizer_config.json", R"({"model_max_length": 128})");
  EXPECT_EQ(read_sentence_modules(path())->max_tokens, 128);
  write("sentence_bert_config.json", R"({"max_seq_length": 64})");
  EXPECT_EQ(read_sentence_modules(path())->max_tokens, 64);
}

TEST_F(SentenceModulesFiles, ComeBackFromGgufFiles) {
  for (Pooling pooling : {Pooling::mean, Pooling::first, Pooling::last}) {
    SentenceModules again =
        gguf_sentence_modules(gguf({.pooling = {pooling}, .max_tokens = 77, .prompt = "q: "})).value();
    EXPECT_EQ(again.prompt, "q: ");
    EXPECT_EQ(again.pooling, std::vector{pooling});
    EXPECT_FALSE(again.normalize);
    EXPECT_EQ(again.max_tokens, 77);
  }
}

TEST_F(SentenceModulesFiles, AreRefusedWhereGgufFilesHaveNoNameForThem) {
  EXPECT_THAT(error_of([&] { gguf({.pooling = {Pooling::max}}); }), HasSubstr("pooling by max cannot be kept"));
  GgufMetadata metadata;
  metadata.set_string("general.architecture", "bert");
  metadata.set_u32("bert.pooling_type", 4);
  write_gguf(path("m.gguf"), metadata, {});
  EXPECT_THAT(error_of([&] { gguf_sentence_modules(path("m.gguf")); }), HasSubstr("bert.pooling_type 4"));
}

}  // namespace
}  // namespace lathe
