// Families in GGUF files: what is written opens again as the same model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/base/threads.h"
#include "lathe/files/gguf_model.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/models/family.h"
#include "tests/models/fixture_support.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

using test::Fixture;

void write_as_gguf(const std::string& path, const Fixture& fixture) {
  write_gguf(path, gguf_metadata(fixture.config, GgmlType::f32),
             gguf_sources(TensorFiles(fixture.weights), fixture.config, GgmlType::f32));
}

std::vector<float> logits_of(Model& model, const std::vector<int32_t>& tokens) {
  WholePass pass(tokens, {0, int32_t(tokens.size())});
  return values_of(model.forward(pass));
}

class GgufFamily : public testing::TestWithParam<const char*> {
 protected:
  GgufFamily() { set_threads(1); }
  Runtime runtime{{}, 1 << 23};
};
INSTANTIATE_TEST_SUITE_P(Kinds, GgufFamily,
                         testing::Values("gpt2", "gpt_neox", "gpt_neox_sequential", "bloom", "falcon", "falcon_new",
                                         "llama", "llama_linear", "llama_llama3", "llama_yarn", "mixtral", "qwen2",
                                         "qwen3", "gemma", "gemma2", "gemma3_text", "phi3"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(GgufFamily, OpensFromAFileWithTheSameLogits) {
  TemporaryDirectory folder;
  Fixture fixture = test::holdable_in_gguf(GetParam());
  std::string path = folder.path("model.gguf");
  write_as_gguf(path, fixture);
  Fixture opened = fixture;
  opened.config = read_model_config(path);
  opened.weights = path;
  EXPECT_EQ(opened.config.model_type, fixture.config.model_type);
  const std::vector<int32_t>& tokens = fixture.sequences.back();
  EXPECT_LE(test::difference(logits_of(*trained_model(opened), tokens), logits_of(*trained_model(fixture), tokens)),
            1e-6);
}

TEST(GgufFamilies, RefuseWhatAFileCannotHold) {
  GgufMetadata metadata;
  for (const char* kind : {"mistral", "qwen2", "gemma2", "falcon_alibi", "llama_dynamic", "llama_yarn"}) {
    Fixture fixture(kind);
    EXPECT_THAT([&] { family_named(fixture.config.model_type).gguf->write(fixture.config, metadata); },
                testing::ThrowsMessage<Error>(testing::HasSubstr("cannot be kept in a GGUF file")))
        << kind;
  }
}

}  // namespace
}  // namespace lathe
