// Directories of models of images and text, whose text model opens alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/base/durable_file.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "tests/files/files_support.h"
#include "tests/support/error_of.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

using testing::HasSubstr;

class VisionModel : public test::FolderTest {
 protected:
  static ModelConfig tied() {
    ModelConfig config = small_config("gemma3_text");
    config.tie_word_embeddings = true;
    return completed(config);
  }
  ModelConfig config_ = tied();
  Runtime runtime_{{}, 1 << 24};
  std::unique_ptr<Model> model_ = ready_model(config_);

  /// The text model with `before` in front of its names, and a tensor of the vision part.
  void save(const std::string& before, const std::string& vision) {
    std::vector<TensorSource> sources = tensor_sources(model_->inventory(), DType::f32);
    for (TensorSource& source : sources) source.name = before + source.name.substr(std::string("model.").size());
    sources.push_back({vision, DType::f32, {1}, [](const auto& write) { write(bytes_of("abcd")); }});
    save_tensors(path(), sources, int64_t{1} << 30);
    save_config(R"("gemma3")", R"("Gemma3ForConditionalGeneration")", model_config_json(config_, DType::f32));
  }
  void save_config(const std::string& type, const std::string& architecture, const std::string& text_config) const {
    write("config.json", R"({"model_type": )" + type + R"(, "architectures": [)" + architecture +
                             R"(], "eos_token_id": [1, 7], "vision_config": {}, "text_config": )" + text_config + "}");
  }
};

TEST_F(VisionModel, OpensAsItsTextModelWhateverTransformersCalledTheTensors) {
  for (auto [before, vision] : {std::pair("language_model.model.", "vision_tower.encoder.weight"),
                                std::pair("model.language_model.", "model.multi_modal_projector.weight")}) {
    save(before, vision);
    const ModelConfig config = read_model_config(path());
    EXPECT_EQ(config.model_type, "gemma3_text");
    EXPECT_EQ(config.hidden_size, config_.hidden_size);
    EXPECT_EQ(end_token_ids(config), (std::vector<int64_t>{1, 7}));
    testing::internal::CaptureStderr();
    const TensorFiles files(path());
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("its vision part is left out: 1 tensors"));
    const auto loaded = ready_model(config);
    load_tensors(loaded->inventory(), files, "model.");
    const std::vector<int32_t> tokens = {1, 2, 3, 4, 5};
    WholePass pass(tokens, {0, 5}), again(tokens, {0, 5});
    EXPECT_EQ(values_of(loaded->forward(pass)), values_of(model_->forward(again)));
    EXPECT_EQ(files.names().size(), tensor_sources(model_->inventory(), DType::f32).size());
  }
}

TEST_F(VisionModel, IsSavedAsItsTextModel) {
  save("language_model.model.", "vision_tower.x");
  const std::string written = model_config_json(read_model_config(path()), DType::f32);
  EXPECT_THAT(written, HasSubstr(R"("model_type": "gemma3_text")"));
  EXPECT_THAT(written, HasSubstr(R"("Gemma3ForCausalLM")"));
  EXPECT_THAT(written, testing::Not(HasSubstr("vision_config")));
}

TEST_F(VisionModel, IsRefusedByNameWhereItsTextModelIsNotOurs) {
  const auto wrong = [&](const char* type, const char* architecture, const char* text) {
    save_config(type, architecture, text);
    return error_of([&] { read_model_config(path()); });
  };
  EXPECT_THAT(wrong(R"("gemma3")", R"("Gemma3ForSequenceClassification")", "{}"),
              HasSubstr("config.json: architecture Gemma3ForSequenceClassification of gemma3 is not supported"));
  EXPECT_THAT(wrong(R"("gemma3")", R"("Gemma3ForConditionalGeneration")", "[]"), HasSubstr("text_config is no object"));
  EXPECT_THAT(wrong(R"("llava")", R"("LlavaForConditionalGeneration")", R"({"model_type": "mpt"})"),
              HasSubstr("unknown model_type \"mpt\""));
  EXPECT_THAT(wrong(R"("paligemma")", R"("PaliGemmaForConditionalGeneration")", R"({"model_type": "gemma"})"),
              HasSubstr("unknown model_type \"paligemma\""));
}

}  // namespace
}  // namespace lathe
