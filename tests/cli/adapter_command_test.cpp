#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
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

constexpr int64_t kWidth = 32, kRank = 4;

TensorSource random_matrix(const std::string& name, int64_t rows, int64_t columns) {
  return {name, DType::f32, {rows, columns}, [=](const std::function<void(Bytes)>& write) {
            std::vector<float> numbers(size_t(rows * columns));
            for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = Random(3).fork(name).normal(i);
            write(std::as_bytes(std::span(numbers)));
          }};
}

/// An untrained model whose tokens are bytes, and a LoRA for it.
class AdapterCommand : public testing::Test {
 protected:
  AdapterCommand() {
    TokenizerTrainer trainer({.vocabulary_size = 257});
    trainer.add("a");
    trainer.train().save(path("model"));
    ModelConfig config;
    config.vocab_size = 257;
    config.hidden_size = kWidth;
    config.num_hidden_layers = 2;
    config.num_attention_heads = 4;
    config.num_key_value_heads = 2;
    config.max_position_embeddings = 64;
    config.initializer_range = 0.3;
    config = completed(config);
    Runtime runtime({}, int64_t{16} << 20);
    replace_file(path("model/config.json"), model_config_json(config, DType::f32));
    save_tensors(path("model"), tensor_sources(ready_model(config)->inventory(), DType::f32), int64_t{1} << 30);
    make_adapter();
  }
  void make_adapter() {
    std::filesystem::create_directories(path("lora"));
    std::vector<TensorSource> tensors;
    for (int layer = 0; layer < 2; ++layer) {
      const std::string name = "base_model.model.model.layers." + std::to_string(layer) + ".self_attn.q_proj";
      tensors.push_back(random_matrix(name + ".lora_A.weight", kRank, kWidth));
      tensors.push_back(random_matrix(name + ".lora_B.weight", kWidth, kRank));
    }
    write_safetensors(path("lora/adapter_model.safetensors"), tensors);
    replace_file(path("lora/adapter_config.json"),
                 json{{"peft_type", "LORA"}, {"r", kRank}, {"lora_alpha", 2}, {"target_modules", {"q_proj"}}}.dump());
  }
  std::string path(const std::string& name) const { return folder_.path(name); }
  std::string written(const std::string& model, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"generate", model, "--prompt", "Once", "--temperature", "0", "--max-tokens", "24"});
    ProgramResult result = run_lathe(more);
    EXPECT_EQ(result.status, 0) << result.errors;
    return result.output;
  }

  TemporaryDirectory folder_;
};

TEST_F(AdapterCommand, GivesTheTextsOfTheModelThatConvertMerges) {
  const std::string adapted = written(path("model"), {"--adapter", path("lora")});
  EXPECT_NE(adapted, written(path("model")));
  for (const char* out : {"merged", "merged.gguf"}) {
    ProgramResult result = run_lathe({"convert", path("model"), path(out), "--adapter", path("lora")});
    ASSERT_EQ(result.status, 0) << result.errors;
    EXPECT_EQ(written(path(out)), adapted) << out;
  }
}

TEST_F(AdapterCommand, CountsForPerplexity) {
  replace_file(path("text.txt"), "Once upon a time there was a lathe.");
  auto loss = [&](const std::string& model, std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluate", "perplexity", model, path("text.txt"), "--json"});
    ProgramResult result = run_lathe(more);
    EXPECT_EQ(result.status, 0) << result.errors;
    return json::parse(result.output)["loss"].get<double>();
  };
  run_lathe({"convert", path("model"), path("merged"), "--adapter", path("lora")});
  const double adapted = loss(path("model"), {"--adapter", path("lora")});
  EXPECT_NEAR(adapted, loss(path("merged"), {}), 1e-4);
  EXPECT_GT(std::abs(adapted - loss(path("model"), {})), 1e-3);
}

TEST_F(AdapterCommand, SaysWhatItIsAndWhatIsWrongWithIt) {
  auto errors = [&](const std::string& adapter) {
    return run_lathe({"generate", path("model"), "--adapter", adapter, "--prompt", "a", "--max-tokens", "1"}).errors;
  };
  EXPECT_THAT(errors(path("lora")), HasSubstr("lora: LoRA of rank 4 beside 2 matrices"));
  EXPECT_THAT(errors(path("model")), HasSubstr("no adapter_config.json"));
  replace_file(path("lora/adapter_config.json"), R"({"peft_type": "IA3"})");
  EXPECT_THAT(errors(path("lora")), HasSubstr("peft_type is IA3"));
}

}  // namespace
}  // namespace lathe
