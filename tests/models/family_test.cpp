#include "lathe/models/family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lathe/base/error.h"
#include "lathe/base/threads.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

ModelConfig large_weights(const std::string& model_type) {
  ModelConfig config = small_config(model_type);
  config.initializer_range = 0.3;
  return config;
}

TEST(Family, IsFoundByItsModelType) {
  EXPECT_THAT(family_names(), testing::IsSupersetOf({"bart", "bert", "gpt2", "llama", "mistral", "qwen3", "t5"}));
  EXPECT_EQ(family_named("gpt2").architecture, "GPT2LMHeadModel");
  EXPECT_THAT([] { family_named("lama"); }, ThrowsMessage<Error>(HasSubstr("llama")));
}

TEST(Family, FillsInWhatAConfigLeavesOut) {
  ModelConfig gpt2 = completed(small_config("gpt2")), llama = completed(small_config("llama"));
  EXPECT_EQ(gpt2.intermediate_size, 64);
  EXPECT_EQ(gpt2.hidden_act, "gelu_new");
  EXPECT_TRUE(gpt2.tie_word_embeddings);
  EXPECT_EQ(llama.intermediate_size, 256);
  EXPECT_EQ(llama.num_key_value_heads, 2);
  EXPECT_EQ(llama.head_dim, 8);
  EXPECT_EQ(llama.rope_theta, 10000);
}

struct Contradiction {
  const char* model_type;
  int64_t ModelConfig::*field;
  int64_t value;
  const char* message;
};

TEST(Family, NamesTheFieldsThatContradictEachOther) {
  const Contradiction contradictions[] = {{"gpt2", &ModelConfig::num_key_value_heads, 1, "num_key_value_heads 1"},
                                          {"gpt2", &ModelConfig::head_dim, 4, "head_dim 4"},
                                          {"llama", &ModelConfig::head_dim, 3, "head_dim 3"},
                                          {"llama", &ModelConfig::num_attention_heads, 3, "num_attention_heads 3"},
                                          {"llama", &ModelConfig::num_key_value_heads, 4, "num_key_value_heads 4"},
                                          {"llama", &ModelConfig::vocab_size, 0, "vocab_size = 0"},
                                          {"gpt2", &ModelConfig::num_hidden_layers, -1, "num_hidden_layers = -1"},
                                          {"longformer", &ModelConfig::type_vocab_size, -1, "type_vocab_size = -1"}};
  for (const Contradiction& wrong : contradictions) {
    ModelConfig config = small_config(wrong.model_type);
    config.*wrong.field = wrong.value;
    EXPECT_THAT([&] { completed(config); }, ThrowsMessage<Error>(HasSubstr(wrong.message))) << wrong.message;
  }
}

TEST(Family, RefusesHeadsThatItHasNot) {
  Runtime runtime(Device{}.as_meta(), Runtime::kUnbounded);
  const std::pair<const char*, const char*> heads[] = {{"opt", "OPTForQuestionAnswering"},
                                                       {"llama", "LlamaForTokenClassification"},
                                                       {"llama", "LlamaForQuestionAnswering"},
                                                       {"gpt2", "GPT2ForQuestionAnswering"},
                                                       {"gpt2", "GPT2ForTokenClassification"},
                                                       {"gptj", "GPTJForQuestionAnswering"},
                                                       {"gpt_neox", "GPTNeoXForTokenClassification"},
                                                       {"gpt_neox", "GPTNeoXForQuestionAnswering"},
                                                       {"bloom", "BloomForTokenClassification"},
                                                       {"bloom", "BloomForQuestionAnswering"},
                                                       {"falcon", "FalconForTokenClassification"},
                                                       {"falcon", "FalconForQuestionAnswering"},
                                                       {"mistral", "MistralForTokenClassification"},
                                                       {"mistral", "MistralForQuestionAnswering"},
                                                       {"mixtral", "MixtralForTokenClassification"},
                                                       {"mixtral", "MixtralForQuestionAnswering"},
                                                       {"qwen2", "Qwen2ForTokenClassification"},
                                                       {"qwen2", "Qwen2ForQuestionAnswering"},
                                                       {"qwen3", "Qwen3ForTokenClassification"},
                                                       {"qwen3", "Qwen3ForQuestionAnswering"},
                                                       {"gemma", "GemmaForTokenClassification"},
                                                       {"gemma2", "Gemma2ForTokenClassification"},
                                                       {"phi3", "Phi3ForTokenClassification"},
                                                       {"t5", "T5ForSequenceClassification"},
                                                       {"t5", "T5ForTokenClassification"},
                                                       {"t5", "T5ForQuestionAnswering"},
                                                       {"t5", "T5EncoderModel"},
                                                       {"mt5", "MT5ForSequenceClassification"},
                                                       {"mt5", "MT5ForTokenClassification"},
                                                       {"mt5", "MT5ForQuestionAnswering"},
                                                       {"bart", "BartForCausalLM"},
                                                       {"bert", "BertLMHeadModel"},
                                                       {"roberta", "RobertaForCausalLM"}};
  for (auto [family, architecture] : heads) {
    ModelConfig config = small_config(family);
    config.architecture = architecture;
    config.labels = {"LABEL_0"};
    EXPECT_THAT([&] { make_model(config); },
                ThrowsMessage<Error>(HasSubstr(std::string(architecture) + "\" is not supported")));
  }
}

int64_t parameters_of(const ModelConfig& config) {
  Runtime runtime(Device{}.as_meta(), Runtime::kUnbounded);
  int64_t parameters = 0;
  auto model = make_model(config);
  for (const Parameter* parameter : model->inventory().parameters) parameters += parameter->kept.elements();
  return parameters;
}

TEST(Family, HasAsManyParametersAsThePublishedModels) {
  EXPECT_EQ(parameters_of({.model_type = "gpt2",
                           .vocab_size = 50257,
                           .hidden_size = 768,
                           .num_hidden_layers = 12,
                           .num_attention_heads = 12}),
            124'439'808);
  EXPECT_EQ(parameters_of({.vocab_size = 32000,  // Llama 2
                           .hidden_size = 4096,
                           .num_hidden_layers = 32,
                           .num_attention_heads = 32,
                           .intermediate_size = 11008}),
            6'738'415'616);
  EXPECT_EQ(parameters_of({.vocab_size = 32000,  // TinyLlama
                           .hidden_size = 2048,
                           .num_hidden_layers = 22,
                           .num_attention_heads = 32,
                           .num_key_value_heads = 4,
                           .intermediate_size = 5632}),
            1'100'048'384);
  EXPECT_EQ(parameters_of({.model_type = "longformer",  // allenai/longformer-base-4096, less its pooler
                           .vocab_size = 50265,
                           .hidden_size = 768,
                           .num_hidden_layers = 12,
                           .num_attention_heads = 12,
                           .max_position_embeddings = 4096,
                           .architecture = "LongformerModel",
                           .type_vocab_size = 1}),
            148'659'456 - 590'592);
}

class Logits : public testing::TestWithParam<const char*> {
 protected:
  Logits() { set_threads(1); }  // at this size, threads would wait for each other longer than they work
  Runtime runtime{{}, 1 << 22};
};
INSTANTIATE_TEST_SUITE_P(Families, Logits, testing::Values("gpt2", "llama"),
                         [](const auto& family) { return std::string(family.param); });

std::vector<float> logits_of(Model& model, const std::vector<int32_t>& tokens, std::vector<int32_t> offsets) {
  WholePass pass(tokens, std::move(offsets));
  return values_of(model.forward(pass));
}

TEST(Family, PadsTablesOfTokensOnAGpuAlone) {
  for (Device device : {Device{}, Device{Backend::cuda}}) {
    Runtime runtime(device.as_meta(), Runtime::kUnbounded);
    ModelConfig config = small_config("llama");
    config.tie_word_embeddings = false;
    auto model = make_model(config);
    for (Parameter* parameter : model->inventory().parameters) {
      if (parameter->name() != "lm_head.weight" && parameter->name() != "model.embed_tokens.weight") continue;
      EXPECT_EQ(parameter->value.shape()[0], device.backend == Backend::cuda ? 64 : 40);
      EXPECT_EQ(parameter->elements(), 40 * config.hidden_size);
    }
  }
}

TEST_P(Logits, DependOnNoTokenAhead) {
  auto model = ready_model(large_weights(GetParam()));
  std::vector<float> one = logits_of(*model, {3, 1, 4, 1, 5}, {0, 5}),
                     other = logits_of(*model, {3, 1, 4, 2, 7}, {0, 5});
  EXPECT_TRUE(std::equal(one.begin(), one.begin() + 3 * 40, other.begin()));
  EXPECT_NE(std::vector(one.begin() + 3 * 40, one.end()), std::vector(other.begin() + 3 * 40, other.end()));
}

TEST_P(Logits, DependOnTheOrderOfTokens) {
  ModelConfig config = large_weights(GetParam());
  config.num_hidden_layers = 1;  // the first layer alone knows order from positions only
  auto model = ready_model(config);
  std::vector<float> one = logits_of(*model, {3, 1, 4}, {0, 3}), other = logits_of(*model, {1, 3, 4}, {0, 3});
  float largest = 0;
  for (size_t i = 2 * 40; i < one.size(); ++i) largest = std::max(largest, std::abs(one[i] - other[i]));
  EXPECT_GT(largest, 1e-3f);
}

TEST_P(Logits, DependOnNoOtherSequence) {
  auto model = ready_model(large_weights(GetParam()));
  std::vector<float> both = logits_of(*model, {3, 1, 4, 1, 5, 9, 2}, {0, 3, 7});
  std::vector<float> first = logits_of(*model, {3, 1, 4}, {0, 3}), second = logits_of(*model, {1, 5, 9, 2}, {0, 4});
  first.insert(first.end(), second.begin(), second.end());
  ASSERT_EQ(both.size(), first.size());
  for (size_t i = 0; i < both.size(); ++i) EXPECT_NEAR(both[i], first[i], 1e-4) << i;
}

}  // namespace
}  // namespace lathe
