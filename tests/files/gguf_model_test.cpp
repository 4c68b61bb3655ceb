#include "lathe/files/gguf_model.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "lathe/base/durable_file.h"
#include "lathe/files/model_config.h"
#include "lathe/models/family.h"
#include "tests/files/files_support.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

/// A directory with a small model of a family.
class GgufFolder : public test::FolderTest {
 protected:
  void save(const std::string& family) {
    config_ = completed(small_config(family));
    Runtime runtime({}, int64_t{1} << 26);
    std::unique_ptr<Model> model = ready_model(config_);
    replace_file(path("config.json"), model_config_json(config_, DType::f32));
    save_tensors(path(), tensor_sources(model->inventory(), DType::f32), int64_t{1} << 30);
    config_ = read_model_config(path());
  }
  std::string to_gguf(GgmlType type) {
    TensorFiles files(path());
    write_gguf(path("m.gguf"), gguf_metadata(config_, type), gguf_sources(files, config_, type));
    return path("m.gguf");
  }

  ModelConfig config_;
};

class GgufModel : public GgufFolder, public testing::WithParamInterface<const char*> {};

TEST_P(GgufModel, ComesBackAsItWasConverted) {
  save(GetParam());
  const std::string file = to_gguf(GgmlType::f32);
  ModelConfig again = read_model_config(file);
  again.model_type = config_.model_type;  // families may share an architecture
  fs::create_directory(path("back"));
  save_tensors(path("back"), safetensors_sources(TensorFiles(file), again, DType::f32), int64_t{1} << 30);
  TensorFiles before(path()), after(path("back"));
  for (const Slice& tensor : tensors_of_model(config_)) {
    const FileTensor *a = before.find(tensor.name), *b = after.find(tensor.name);
    ASSERT_TRUE(a && b) << tensor.name;
    EXPECT_EQ(text_of(a->bytes), text_of(b->bytes)) << tensor.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GgufModel, testing::Values("gpt2", "llama"));

TEST_F(GgufFolder, IsCopiedByteByByteWhereTypesAreTheSame) {
  save("llama");
  TensorFiles files(to_gguf(GgmlType::f16));
  ModelConfig config = read_model_config(files.path());
  write_gguf(path("again.gguf"), gguf_metadata(config, GgmlType::f16), gguf_sources(files, config, GgmlType::f16));
  GgufFile first(path("m.gguf")), second(path("again.gguf"));
  for (const GgufTensor& tensor : first.tensors())
    EXPECT_EQ(text_of(first.bytes(tensor)), text_of(second.bytes(*second.find(tensor.name)))) << tensor.name;
}

TEST(GgufTypes, FollowLlamaCpp) {
  auto type = [](const char* name, std::vector<int64_t> shape, GgmlType wanted, bool tied = false) {
    return gguf_type_of(name, shape, wanted, tied);
  };
  EXPECT_EQ(type("blk.0.attn_q.weight", {64, 64}, GgmlType::q4_0), GgmlType::q4_0);
  EXPECT_EQ(type("blk.0.attn_q.bias", {64}, GgmlType::q4_0), GgmlType::f32);
  EXPECT_EQ(type("blk.0.attn_norm.weight", {64}, GgmlType::f16), GgmlType::f32);
  EXPECT_EQ(type("position_embd.weight", {16, 64}, GgmlType::f16), GgmlType::f32);
  EXPECT_EQ(type("blk.0.ffn_down.weight", {64, 48}, GgmlType::q8_0), GgmlType::f16);
  EXPECT_EQ(type("output.weight", {64, 64}, GgmlType::q4_1), GgmlType::q8_0);
  EXPECT_EQ(type("token_embd.weight", {64, 64}, GgmlType::q4_1), GgmlType::q4_1);
  EXPECT_EQ(type("token_embd.weight", {64, 64}, GgmlType::q4_1, true), GgmlType::q8_0);
  EXPECT_EQ(type("output.weight", {64, 64}, GgmlType::bf16), GgmlType::bf16);
}

}  // namespace
}  // namespace lathe
