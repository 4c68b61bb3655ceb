#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lathe/base/durable_file.h"
#include "lathe/base/gguf.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/tokenize/trainer.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

using testing::HasSubstr;

/// An untrained model whose tokens are bytes.
class ConvertCommand : public testing::Test {
 protected:
  ConvertCommand() {
    TokenizerTrainer trainer({.vocabulary_size = 257});
    trainer.add("a");
    trainer.train().save(model());
    ModelConfig config = small_config("llama");
    config.vocab_size = 260;
    config = completed(config);
    Runtime runtime({}, int64_t{16} << 20);
    std::unique_ptr<Model> weights = ready_model(config);
    nlohmann::json json = nlohmann::json::parse(model_config_json(config, DType::f32));
    json["favourite_colour"] = "green";
    replace_file(model() + "/config.json", json.dump());
    replace_file(model() + "/README.md", "---\nlicense: mit\nmodel_name: Small\n---\n# A model\n");
    replace_file(model() + "/chat_template.jinja", "{{ messages }}");
    save_tensors(model(), tensor_sources(weights->inventory(), DType::f32), int64_t{1} << 30);
  }
  std::string model() const { return folder_.path("model"); }
  std::string path(const std::string& name) const { return folder_.path(name); }

 private:
  TemporaryDirectory folder_;
};

TEST_F(ConvertCommand, WritesAGgufFileThatSaysAllThatTheDirectorySaid) {
  ProgramResult result = run_lathe({"convert", model(), path("m.gguf"), "--type", "f16"});
  ASSERT_EQ(result.status, 0) << result.errors;
  GgufFile file(path("m.gguf"));
  EXPECT_EQ(file.fields().string("general.name"), "Small");
  EXPECT_EQ(file.fields().string("general.license"), "mit");
  EXPECT_EQ(file.fields().string("tokenizer.chat_template"), "{{ messages }}");
  EXPECT_EQ(file.fields().string("tokenizer.ggml.pre"), "gpt-2");
  EXPECT_EQ(file.fields().strings("tokenizer.ggml.tokens").size(), 260u);
  EXPECT_EQ(file.find("token_embd.weight")->type, GgmlType::f16);
  EXPECT_EQ(file.find("output_norm.weight")->type, GgmlType::f32);
}

TEST_F(ConvertCommand, KeepsWhatItDoesNotKnowInADirectory) {
  ProgramResult result = run_lathe({"convert", model(), path("out"), "--type", "bf16"});
  ASSERT_EQ(result.status, 0) << result.errors;
  nlohmann::json config = nlohmann::json::parse(content_of(path("out/config.json")));
  EXPECT_EQ(config["favourite_colour"], "green");
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  EXPECT_EQ(content_of(path("out/tokenizer.json")), content_of(model() + "/tokenizer.json"));
  EXPECT_THAT(run_lathe({"convert", model(), path("out")}).errors, HasSubstr("out exists"));
  EXPECT_THAT(run_lathe({"convert", model(), path("other"), "--type", "q8_0"}).errors,
              HasSubstr("a directory holds f32, f16 and bf16"));
}

TEST_F(ConvertCommand, LeavesAModelThatInfoDescribes) {
  ProgramResult result = run_lathe({"info", model(), "--json"});
  ASSERT_EQ(result.status, 0) << result.errors;
  nlohmann::json info = nlohmann::json::parse(result.output);
  EXPECT_EQ(info["model_type"], "llama");
  EXPECT_EQ(info["license"], "mit");
  EXPECT_EQ(info["weights"]["F32"]["numbers"], info["parameters"]);
  EXPECT_EQ(info["chat_template"], true);
  EXPECT_THAT(run_lathe({"info", model()}).output, HasSubstr("licence        mit"));
}

TEST_F(ConvertCommand, RefusesToWriteIntoTheDirectoryThatItCopies) {
  ProgramResult result = run_lathe({"convert", model(), model() + "/smaller/bf16", "--type", "bf16"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, HasSubstr("the model that is converted; name another place"));
  EXPECT_EQ(run_lathe({"convert", model() + "/", model() + "/m.gguf"}).status, 0);
}

TEST_F(ConvertCommand, LeavesTheSameModelInOtherFormatsBehind) {
  for (const char* name : {"/tf_model.h5", "/flax_model.msgpack", "/m.gguf", "/onnx/model.onnx", "/.git/HEAD"}) {
    std::filesystem::create_directories(std::filesystem::path(model() + name).parent_path());
    replace_file(model() + name, "x");
  }
  std::filesystem::create_directories(model() + "/2_Dense");
  replace_file(model() + "/2_Dense/model.safetensors", "y");
  ASSERT_EQ(run_lathe({"convert", model(), path("out")}).status, 0);
  EXPECT_EQ(content_of(path("out/2_Dense/model.safetensors")), "y");
  for (const char* name : {"out/tf_model.h5", "out/flax_model.msgpack", "out/m.gguf", "out/onnx", "out/.git"})
    EXPECT_FALSE(std::filesystem::exists(path(name))) << name;
}

TEST_F(ConvertCommand, KeepsTokensThatEndTexts) {
  replace_file(model() + "/generation_config.json", R"({"eos_token_id": [0, 7, 9]})");
  ASSERT_EQ(run_lathe({"convert", model(), path("m.gguf")}).status, 0);
  EXPECT_EQ(GgufFile(path("m.gguf")).fields().integer("tokenizer.ggml.eot_token_id"), 7);
  ASSERT_EQ(run_lathe({"convert", path("m.gguf"), path("back")}).status, 0);
  auto back = nlohmann::json::parse(content_of(path("back/generation_config.json")));
  EXPECT_EQ(back["eos_token_id"], nlohmann::json({0, 7, 9}));
}

}  // namespace
}  // namespace lathe
