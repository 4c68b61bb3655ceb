// Families in GGUF files: what is written opens again as the same model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/base/gguf_writer.h"
#include "lathe/base/threads.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/models/family.h"
#include "tests/models/fixture_support.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

using test::Fixture;

/// What a GGUF file can hold of a fixture's model.
Fixture holdable(const std::string& kind) {
  Fixture fixture(kind);
  ModelConfig& c = fixture.config;
  if (c.model_type.starts_with("gemma")) {
    c.query_pre_attn_scalar = 0;
    c.layer_types.clear();
  }
  if (c.model_type == "mistral" || c.model_type.starts_with("qwen")) {
    c.sliding_window = 0;
    c.layer_types.clear();
  }
  if (c.rope_scaling.rope_type == "yarn") c.rope_scaling.beta_fast = 32, c.rope_scaling.beta_slow = 1;
  if (c.model_type == "phi3") c.rope_scaling = {};
  c = completed(c);
  return fixture;
}

/// The name in files, and the rows there, of a tensor of the model.
struct Place {
  std::string name;
  const GgufName* form;
};
Place place_of(const std::string& name, const GgufForm& form) {
  for (const GgufName& candidate : form.names)
    if (std::string file = renamed(name, candidate.model, candidate.file); !file.empty()) return {file, &candidate};
  return {"", nullptr};
}

std::vector<float> in_file_order(const std::vector<float>& values, const std::vector<int64_t>& shape,
                                 const GgufName& form, const ModelConfig& config) {
  int64_t columns = shape.size() == 1 ? 1 : shape[1];
  std::vector<float> out(values.size());
  for (int64_t row = 0; row < shape[0]; ++row) {
    int64_t to = form.file_row ? form.file_row(config, row) : row;
    for (int64_t c = 0; c < columns; ++c) out[size_t(to * columns + c)] = values[size_t(row * columns + c)] - form.add;
  }
  return out;
}

void write_as_gguf(const std::string& path, const Fixture& fixture) {
  const Family& family = family_named(fixture.config.model_type);
  GgufMetadata metadata;
  metadata.set_string("general.architecture", family.gguf->architecture);
  family.gguf->write(fixture.config, metadata);
  auto model = trained_model(fixture);
  NamedTensors named;
  Inventory inventory = model->inventory();
  put_kept(inventory, named);
  std::vector<GgufTensorSource> tensors;
  for (const Stored* stored : inventory.stored)
    for (const Slice& slice : stored->slices) {
      auto [name, form] = place_of(slice.name, *family.gguf);
      ASSERT_TRUE(form) << slice.name;
      bool there = std::any_of(tensors.begin(), tensors.end(), [&](auto& tensor) { return tensor.name == name; });
      if (there) continue;
      std::vector<int64_t> shape = {slice.whole_rows};
      if (!slice.vector) shape.push_back(slice.whole_columns);
      std::vector<float> values = in_file_order(named.at(slice.name), shape, *form, fixture.config);
      tensors.push_back({name, GgmlType::f32, shape, [values](const std::function<void(Bytes)>& write) {
                           write(std::as_bytes(std::span(values)));
                         }});
    }
  write_gguf(path, metadata, tensors);
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
                                         "llama", "llama_linear", "llama_yarn", "qwen2", "qwen3", "gemma", "gemma2",
                                         "gemma3_text", "phi3"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(GgufFamily, OpensFromAFileWithTheSameLogits) {
  TemporaryDirectory folder;
  Fixture fixture = holdable(GetParam());
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
  for (const char* kind : {"mistral", "qwen2", "gemma2", "falcon_alibi", "phi3", "llama_llama3", "llama_yarn"}) {
    Fixture fixture(kind);
    EXPECT_THAT([&] { family_named(fixture.config.model_type).gguf->write(fixture.config, metadata); },
                testing::ThrowsMessage<Error>(testing::HasSubstr("cannot be kept in a GGUF file")))
        << kind;
  }
}

}  // namespace
}  // namespace lathe
