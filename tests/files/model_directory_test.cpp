// Model directories that are broken: config.json and the files of tensors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "lathe/base/text_input.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "tests/files/files_support.h"
#include "tests/support/error_of.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ModelConfigTest : public test::FolderTest {
 protected:
  std::string problem(const std::string& json) {
    write("config.json", json);
    return error_of([&] { read_model_config(path()); });
  }
};

TEST_F(ModelConfigTest, NamesTheFileAndWhatIsWrong) {
  EXPECT_THAT(error_of([&] { read_model_config(path()); }), HasSubstr("config.json"));
  EXPECT_THAT(problem(""), AllOf(HasSubstr("config.json:1"), HasSubstr("not JSON")));
  EXPECT_THAT(problem("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(problem("{}"), HasSubstr("no model_type"));
  EXPECT_THAT(problem(R"({"model_type": "lama"})"), AllOf(HasSubstr("config.json"), HasSubstr("'llama'")));
  EXPECT_THAT(problem(R"({"model_type": 5})"), HasSubstr("config.json: model_type is no string"));
  EXPECT_THAT(problem(R"({"model_type": "llama", "num_key_value_heads": 5})"), HasSubstr("num_key_value_heads 5"));
  EXPECT_THAT(problem(R"({"model_type": "gpt2", "n_head": 0})"), HasSubstr("config.json"));
}

TEST_F(ModelConfigTest, NamesTheFieldThatHasAnotherType) {
  for (const char* value : {"\"many\"", "true", "2.5", "1e300", "18446744073709551615", "[1]", "{}"})
    for (const char* start : {R"({"model_type": "llama", "vocab_size": )", R"({"model_type": "bert", "vocab_size": )",
                              R"({"model_type": "t5", "vocab_size": )", R"({"model_type": "gpt2", "vocab_size": )"})
      EXPECT_THAT(problem(text(start, value, "}")),
                  AllOf(HasSubstr("config.json: "), HasSubstr("vocab_size must be a whole number, here it is ")))
          << value;
  EXPECT_THAT(problem(R"({"model_type": "t5", "dropout_rate": "0"})"), HasSubstr("t5: dropout_rate must be a number"));
  EXPECT_THAT(problem(R"({"model_type": "llama", "tie_word_embeddings": "yes"})"),
              HasSubstr("llama: tie_word_embeddings must be true or false"));
  EXPECT_THAT(problem(R"({"model_type": "bart", "activation_function": 3})"), HasSubstr("must be a string"));
  EXPECT_THAT(problem(R"({"model_type": "llama", "rope_scaling": {"type": "linear", "factor": "x"}})"),
              HasSubstr("rope_scaling: factor must be a number"));
  EXPECT_THAT(problem(R"({"model_type": "llama", "eos_token_id": [1, "a"]})"),
              HasSubstr("eos_token_id must be a list"));
  EXPECT_THAT(problem(R"({"model_type": "llama", "architectures": [3]})"), HasSubstr("architectures must be a list"));
  EXPECT_THAT(problem(R"({"model_type": "bert", "id2label": {"0": null}})"), HasSubstr("label 0 is no string"));
  EXPECT_THAT(problem(R"({"model_type": "longformer", "attention_window": [2.5]})"), HasSubstr("attention_window"));
  EXPECT_THAT(problem(R"({"model_type": "llama", "hidden_act": "foo"})"),
              AllOf(HasSubstr("config.json: "), HasSubstr("hidden_act \"foo\"")));
}

TEST_F(ModelConfigTest, RefusesNumbersThatWouldGiveOthersInSilence) {
  const std::pair<const char*, const char*> all[] = {
      {"rms_norm_eps", "-1"}, {"rope_theta", "-5"}, {"initializer_range", "-0.1"}, {"partial_rotary_factor", "2"}};
  for (auto [field, value] : all)
    EXPECT_THAT(problem(text(R"({"model_type": "llama", ")", field, "\": ", value, "}")),
                AllOf(HasSubstr("llama: "), HasSubstr(value)))
        << field;
  for (const char* field : {"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar"})
    EXPECT_THAT(problem(text(R"({"model_type": "gemma2", ")", field, "\": -3}")),
                HasSubstr(text(field, " = -3 must be 0 or above")));
  EXPECT_THAT(problem(R"({"model_type": "gpt2", "resid_pdrop": 1})"), HasSubstr("dropout 1 must be from 0 to below 1"));
  for (const char* rope : {R"({"type": "linear", "factor": -2})", R"({"type": "dynamic", "factor": 0})",
                           R"({"type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4})",
                           R"({"type": "yarn", "factor": 4, "beta_fast": 1, "beta_slow": 2})"})
    EXPECT_THAT(problem(text(R"({"model_type": "llama", "rope_scaling": )", rope, "}")),
                HasSubstr("rope_scaling of type"))
        << rope;
}

TEST_F(ModelConfigTest, RefusesTensorsThatAreQuantizedInAnotherWay) {  // F8 tensors without their scales would load
  EXPECT_THAT(problem(R"({"model_type": "llama", "quantization_config": {"quant_method": "fp8"}})"),
              AllOf(HasSubstr("config.json: quantization_config"), HasSubstr("\"fp8\"")));
  write("config.json", R"({"model_type": "llama", "quantization_config": null})");
  EXPECT_EQ(error_of([&] { read_model_config(path()); }), "");
}

TEST_F(ModelConfigTest, RefusesSizesThatNoModelHas) {
  for (const char* size : {"-1", "9223372036854775807"})
    for (const char* field : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "head_dim",
                              "num_key_value_heads", "intermediate_size", "max_position_embeddings"})
      EXPECT_THAT(problem(text(R"({"model_type": "llama", ")", field, "\": ", size, "}")),
                  AllOf(HasSubstr(field), HasSubstr("must be from"), HasSubstr(size)));
  EXPECT_THAT(problem(R"({"model_type": "gpt2", "n_layer": 1000000})"), HasSubstr("is above 4096"));
}

TEST_F(ModelConfigTest, RefusesBombs) {
  EXPECT_THAT(problem(std::string(100000, '[')), HasSubstr("nested more than"));
  EXPECT_THAT(problem(std::string(2'000'000, ' ')), HasSubstr("larger than the 1000000 bytes"));
}

TEST(Models, TooLargeForAnyMachineAreAnErrorWithTheShape) {
  Runtime runtime({.meta = true}, 0);
  const int64_t huge = int64_t{1} << 30;
  EXPECT_THAT(error_of([&] {
                make_model({.model_type = "gpt2",
                            .vocab_size = huge,
                            .hidden_size = huge,
                            .num_hidden_layers = 1,
                            .num_attention_heads = 1,
                            .intermediate_size = 1});
              }),
              HasSubstr("would have more than"));
}

class TensorFilesTest : public test::FolderTest {
 protected:
  TensorFilesTest() : runtime_({}, int64_t{1} << 24), model_(ready_model(config(16))) {}

  static ModelConfig config(int64_t vocabulary) {
    return {.model_type = "gpt2",
            .vocab_size = vocabulary,
            .hidden_size = 8,
            .num_hidden_layers = 1,
            .num_attention_heads = 2,
            .max_position_embeddings = 4};
  }
  void save(int64_t file_bytes) { save_tensors(path(), tensor_sources(model_->inventory(), DType::f32), file_bytes); }
  std::string load_error(int64_t vocabulary = 16) {
    return error_of(
        [&] { load_tensors(ready_model(config(vocabulary))->inventory(), TensorFiles(path()), "transformer."); });
  }
  std::string index_error(const std::string& json) {
    write("model.safetensors.index.json", json);
    return load_error();
  }

  Runtime runtime_;
  std::unique_ptr<Model> model_;
};

TEST_F(TensorFilesTest, SayWhatTheModelNeedsAndTheFilesHold) {
  EXPECT_THAT(load_error(), HasSubstr("neither model.safetensors nor"));
  save(int64_t{1} << 30);
  EXPECT_EQ(load_error(), "");
  EXPECT_THAT(load_error(24), AllOf(HasSubstr("\"transformer.wte.weight\" is [16, 8]"), HasSubstr("needs [24, 8]")));
  std::vector<TensorSource> some = tensor_sources(model_->inventory(), DType::f32);
  std::erase_if(some, [](const TensorSource& tensor) { return tensor.name == "transformer.ln_f.bias"; });
  save_tensors(path(), some, int64_t{1} << 30);
  EXPECT_THAT(load_error(), HasSubstr("no tensor \"transformer.ln_f.bias\""));
  for (TensorSource& tensor : some) tensor.dtype = DType::i32;
  write_safetensors(path("model.safetensors"), some);
  EXPECT_THAT(load_error(), HasSubstr("needs F32, BF16, F16"));
}

TEST_F(TensorFilesTest, RefuseAnIndexThatLies) {
  save(2000);
  const std::string index = read_text(path("model.safetensors.index.json"));
  EXPECT_EQ(load_error(), "");
  EXPECT_THAT(index_error(index.substr(0, index.size() / 2)), HasSubstr("not JSON"));
  EXPECT_THAT(index_error("{}"), HasSubstr("weight_map"));
  EXPECT_THAT(index_error(R"({"weight_map": {"a": 1}})"), HasSubstr("is no string"));
  EXPECT_THAT(index_error(R"({"weight_map": {"a": "../other/model.safetensors"}})"), HasSubstr("no file beside it"));
  EXPECT_THAT(index_error(R"({"weight_map": {"a": "gone.safetensors"}})"),
              HasSubstr("index.json names gone.safetensors, which is not beside it"));
  EXPECT_THAT(index_error(std::string(100000, '[')), HasSubstr("nested more than"));
}

TEST_F(TensorFilesTest, RefuseATensorThatIsInTwoFiles) {
  save(2000);
  std::vector<TensorSource> all = tensor_sources(model_->inventory(), DType::f32);
  write_safetensors(path("model-00001-of-00002.safetensors"), all);
  std::string index = R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "copy.safetensors"}})";
  write_safetensors(path("copy.safetensors"), all);
  EXPECT_THAT(index_error(index), AllOf(HasSubstr("is in "), HasSubstr("which of them counts is not said")));
}

TEST_F(TensorFilesTest, TakeTheSingleFileFirstAsTransformersDoes) {
  save(int64_t{1} << 30);
  write("model.safetensors.index.json", R"({"weight_map": {"a": "gone.safetensors"}})");
  EXPECT_EQ(load_error(), "");
}

}  // namespace
}  // namespace lathe
