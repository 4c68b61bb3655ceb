#include "lathe/files/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "lathe/base/error.h"
#include "lathe/models/family.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::ThrowsMessage;

class ConfigFile : public testing::Test {
 protected:
  ConfigFile() { fs::create_directories(folder_); }
  ~ConfigFile() override { fs::remove_all(folder_); }
  ModelConfig read(const std::string& json) const {
    std::ofstream(folder_ / "config.json") << json;
    return read_model_config(folder_.string());
  }

 private:
  fs::path folder_ = fs::temp_directory_path() / text("lathe_model_config_", ::getpid());
};

TEST_F(ConfigFile, ComesBackAsItWasWritten) {
  ModelConfig llama;
  llama.vocab_size = 40;
  llama.hidden_size = 24;
  llama.num_hidden_layers = 3;
  llama.num_attention_heads = 4;
  llama.num_key_value_heads = 2;
  llama.head_dim = 8;
  llama.rope_theta = 500;
  llama.norm_eps = 1e-6;
  llama.attention_bias = true;
  llama.initializer_range = 0.01;
  llama.eos_token_id = 7;
  ModelConfig gpt2;
  gpt2.model_type = "gpt2";
  gpt2.vocab_size = 40;
  gpt2.hidden_size = 24;
  gpt2.num_hidden_layers = 3;
  gpt2.num_attention_heads = 4;
  gpt2.intermediate_size = 50;
  gpt2.hidden_act = "gelu";
  gpt2.resid_pdrop = 0.2;
  gpt2.bos_token_id = gpt2.eos_token_id = 39;
  for (const ModelConfig& config : {completed(llama), completed(gpt2)}) {
    std::string written = model_config_json(config, DType::bf16);
    ModelConfig again = read(written);
    EXPECT_EQ(model_config_json(again, DType::bf16), written);
    EXPECT_EQ(again.num_key_value_heads, config.num_key_value_heads);
    EXPECT_EQ(again.intermediate_size, config.intermediate_size);
    EXPECT_EQ(again.rope_theta, config.rope_theta);
    EXPECT_EQ(again.eos_token_id, config.eos_token_id);
    EXPECT_EQ(again.resid_pdrop, config.resid_pdrop);
  }
}

TEST_F(ConfigFile, MayListSeveralEndTokens) {
  ModelConfig config = read(R"({"model_type": "gpt2", "bos_token_id": null, "eos_token_id": [5, 6]})");
  EXPECT_EQ(config.eos_token_id, 5);
  EXPECT_EQ(end_token_ids(config), (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(end_token_ids(read(model_config_json(config, DType::f32))), (std::vector<int64_t>{5, 6}));
  config.eos_token_id = 7;  // another tokenizer's
  EXPECT_EQ(end_token_ids(read(model_config_json(config, DType::f32))), std::vector<int64_t>{7});
  EXPECT_EQ(config.bos_token_id, -1);
  EXPECT_EQ(config.hidden_size, 768);
}

TEST_F(ConfigFile, SaysHowPositionsAreScaled) {
  EXPECT_EQ(read(R"({"model_type": "llama", "rope_scaling": null, "rope_parameters": {"rope_type": "default",
                     "rope_theta": 500}})")
                .rope_theta,
            500);
  RopeScaling scaling =
      read(R"({"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2}})").rope_scaling;
  EXPECT_EQ(scaling.rope_type, "linear");
  EXPECT_EQ(scaling.factor, 2);
}

TEST_F(ConfigFile, IsRefusedForPositionsThatAreNotKnown) {
  for (const char* rope :
       {R"("rope_scaling": {"rope_type": "cubic", "factor": 8})", R"("rope_scaling": {"type": "linear"})",
        R"("rope_scaling": {"type": "linear", "factor": 2, "twist": 3})",
        R"("rope_scaling": {"type": "longrope", "factor": 2, "short_factor": [1], "long_factor": [1]})",
        R"("rope_parameters": {"rope_type": "yarn", "factor": 2, "truncate": false})"})
    EXPECT_THAT([&] { read(text(R"({"model_type": "llama", )", rope, "}")); },
                ThrowsMessage<Error>(HasSubstr("llama: ")))
        << rope;
}

struct Refused {
  const char *fields, *message;
};

TEST_F(ConfigFile, IsRefusedForWhatAFamilyCannotDo) {
  const Refused refused[] = {
      {R"("model_type": "gpt2", "scale_attn_by_inverse_layer_idx": true)", "scale_attn_by_inverse_layer_idx = true"},
      {R"("model_type": "gemma2", "use_bidirectional_attention": true)", "use_bidirectional_attention"},
      {R"("model_type": "gemma2", "layer_types": ["full_attention"])", "layer_types names 1 layers of 26"},
      {R"("model_type": "qwen3", "use_sliding_window": true, "layer_types": ["odd"], "num_hidden_layers": 1)",
       "\"odd\""},
      {R"("model_type": "opt", "_remove_final_layer_norm": true)", "_remove_final_layer_norm"},
      {R"("model_type": "bloom", "apply_residual_connection_post_layernorm": true)", "post_layernorm"},
      {R"("model_type": "falcon", "new_decoder_architecture": true, "parallel_attn": false)", "parallel_attn"},
      {R"("model_type": "gptj", "rotary_dim": 1000)", "rotary_dim 1000"},
      {R"("model_type": "gpt_neox", "rotary_pct": 0.001)", "must be even"},
      {R"("model_type": "mixtral", "num_experts_per_tok": 9)", "num_experts_per_tok 9"}};
  for (const Refused& wrong : refused)
    EXPECT_THAT([&] { read(text("{", wrong.fields, "}")); }, ThrowsMessage<Error>(HasSubstr(wrong.message)))
        << wrong.fields;
}

}  // namespace
}  // namespace lathe
