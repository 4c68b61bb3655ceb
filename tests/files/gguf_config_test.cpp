#include "lathe/files/gguf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "lathe/base/gguf_writer.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "tests/files/files_support.h"
#include "tests/support/error_of.h"
#include "tests/support/program.h"

namespace lathe {
namespace {

using testing::AllOf;
using testing::HasSubstr;

GgufTensorSource zeros(const std::string& name, std::vector<int64_t> shape) {
  GgufTensorSource source{name, GgmlType::f32, std::move(shape), nullptr};
  source.fill = [bytes = source.bytes()](const std::function<void(Bytes)>& write) {
    write(bytes_of(std::string(size_t(bytes), '\0')));
  };
  return source;
}

/// A file of a small llama, which tests change.
class GgufConfig : public test::FolderTest {
 protected:
  GgufConfig() {
    metadata.set_string("general.architecture", "llama");
    for (auto [key, value] : {std::pair{"block_count", 1},
                              {"context_length", 64},
                              {"embedding_length", 8},
                              {"feed_forward_length", 16},
                              {"attention.head_count", 4},
                              {"attention.head_count_kv", 2}})
      metadata.set_u32(std::string("llama.") + key, value);
    metadata.set_f32("llama.attention.layer_norm_rms_epsilon", 1e-6);
    metadata.set_f32("llama.rope.freq_base", 500);
    metadata.set_u32("tokenizer.ggml.eos_token_id", 3);
    tensors.push_back(zeros("token_embd.weight", {10, 8}));
  }
  std::string file() const {
    write_gguf(path("m.gguf"), metadata, tensors);
    return path("m.gguf");
  }
  std::string problem() const {
    return error_of([&] { TensorFiles{file()}; });
  }

  GgufMetadata metadata;
  std::vector<GgufTensorSource> tensors;
};

TEST_F(GgufConfig, IsReadFromMetadataAndTensors) {
  ModelConfig config = read_model_config(file());
  EXPECT_EQ(config.model_type, "llama");
  EXPECT_EQ(config.vocab_size, 10);
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.head_dim, 2);
  EXPECT_EQ(config.rope_theta, 500);
  EXPECT_NEAR(config.norm_eps, 1e-6, 1e-12);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_FALSE(config.attention_bias);
  EXPECT_EQ(config.eos_token_id, 3);
  tensors.push_back(zeros("output.weight", {10, 8}));
  EXPECT_FALSE(read_model_config(file()).tie_word_embeddings);
}

TEST_F(GgufConfig, IsRefusedForAnArchitectureThatNoFamilyHas) {
  metadata.set_string("general.architecture", "lama");
  EXPECT_THAT(problem(),
              AllOf(HasSubstr("m.gguf: general.architecture \"lama\" is not supported"), HasSubstr("llama")));
  metadata.erase("general.architecture");
  EXPECT_THAT(problem(), HasSubstr("general.architecture is missing"));
}

TEST_F(GgufConfig,
       IsRefusedWithImpossibleSizes) {  // llama.cpp #25821, #26051: block_count above 512 wrote past an array
  metadata.set_u32("llama.block_count", 100'000);
  EXPECT_THAT(problem(), AllOf(HasSubstr("m.gguf: "), HasSubstr("num_hidden_layers = 100000 is above")));
  metadata.set_u32("llama.block_count", 1);
  metadata.set_u32("llama.attention.head_count", 0);
  EXPECT_THAT(problem(), HasSubstr("num_attention_heads"));
  metadata.set_u32("llama.attention.head_count", 3);
  EXPECT_THAT(problem(), HasSubstr("no multiple"));
  metadata.set_string("llama.embedding_length", "8");
  EXPECT_THAT(problem(), HasSubstr("llama.embedding_length must be a whole number, here it is a string"));
  metadata.erase("llama.embedding_length");
  EXPECT_THAT(problem(), HasSubstr("llama.embedding_length is missing"));
}

TEST_F(GgufConfig, IsRefusedWithoutATableOfTokens) {
  tensors = {zeros("token_embd.weight", {80})};
  EXPECT_THAT(problem(), HasSubstr("no tensor \"token_embd.weight\" of two extents"));
}

TEST_F(GgufConfig, IsRefusedWithTensorsThatTheFamilyHasNot) {
  tensors.push_back(zeros("blk.0.attn_q_norm.weight", {2}));
  EXPECT_THAT(problem(), AllOf(HasSubstr("\"blk.0.attn_q_norm.weight\" has no place"), HasSubstr("llama")));
}

TEST_F(GgufConfig, IsRefusedForExpertsThatAreNoMatrices) {
  metadata.set_u32("llama.expert_count", 4);
  metadata.set_u32("llama.expert_used_count", 2);
  tensors.push_back(zeros("blk.0.ffn_up_exps.weight", {3, 16, 8}));
  EXPECT_THAT(problem(),
              HasSubstr("\"blk.0.ffn_up_exps.weight\" is [3, 16, 8]; the model needs a matrix for each of 4"));
}

/// The same file in two parts.
class GgufParts : public GgufConfig {
 protected:
  void write_parts() {
    metadata.set_u32("split.no", 0), metadata.set_u32("split.count", 2), metadata.set_u32("split.tensors.count", 2);
    write_gguf(first, metadata, {});
    write_gguf(second, others, tensors);
  }
  GgufParts() {
    others.set_u32("split.no", 1), others.set_u32("split.count", 2);
    tensors.push_back(zeros("output_norm.weight", {8}));
    write_parts();
  }
  std::string problem_of(const std::string& file) const {
    return error_of([&] { TensorFiles{file}; });
  }

  std::string first = path("m-00001-of-00002.gguf"), second = path("m-00002-of-00002.gguf");
  GgufMetadata others;
};

TEST_F(GgufParts, AreReadAsOneModel) {
  EXPECT_EQ(read_model_config(first).vocab_size, 10);
  TensorFiles files(first);
  EXPECT_EQ(files.find("model.embed_tokens.weight")->file, second);
  EXPECT_EQ(files.names().size(), 2u);
}

TEST_F(GgufParts, AreRefusedByNameWhenTheyDoNotBelongTogether) {
  EXPECT_THAT(problem_of(second), AllOf(HasSubstr("part 2 of 2 of a model; name the first, "), HasSubstr(first)));
  tensors.pop_back();
  write_parts();
  EXPECT_THAT(problem_of(first), HasSubstr("split.tensors.count is 2 but the 2 parts have 1 tensors"));
  others.set_u32("split.no", 0);
  write_parts();
  EXPECT_THAT(problem_of(first), AllOf(HasSubstr("says it is part 1 of 2"), HasSubstr("needs part 2 of 2")));
  std::filesystem::remove(second);
  EXPECT_THAT(problem_of(first), HasSubstr("m-00002-of-00002.gguf"));
  std::filesystem::rename(first, path("m.gguf"));
  EXPECT_THAT(problem_of(path("m.gguf")), HasSubstr("must have the name that the splitter gave it"));
}

constexpr const char* kSplitter = R"(
import sys, gguf, numpy
writer = gguf.GGUFWriter(sys.argv[1], "llama", split_max_tensors=2)
writer.add_block_count(7)
for i in range(5):
    writer.add_tensor(f"t{i}", numpy.full((2, 3), i, "f4"))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
)";

class PeerGgufParts : public test::FolderTest {};

TEST_F(PeerGgufParts, AreReadAsItsWriterCutsThem) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  run_peer(kSplitter, {path("m.gguf")});
  GgufFile file(path("m-00001-of-00003.gguf"));
  EXPECT_EQ(file.fields().integer("llama.block_count"), 7);
  ASSERT_EQ(file.tensors().size(), 5u);
  for (int i = 0; i < 5; ++i) {
    float number = -1;
    std::memcpy(&number, file.bytes(*file.find(text("t", i))).data(), sizeof number);
    EXPECT_EQ(number, float(i));
  }
}

TEST_F(GgufConfig, IsRefusedForKeysThatAskForOtherNumbers) {
  auto refused = [&](const char* key, const char* what) {
    EXPECT_THAT(problem(), AllOf(HasSubstr(text("m.gguf: llama.", key)), HasSubstr(what), HasSubstr("family llama")));
    metadata.erase(text("llama.", key));
  };
  metadata.set_f32("llama.logit_scale", 0.5);
  refused("logit_scale", "= 0.5 is not supported");
  metadata.set_f32("llama.attention.scale", 0.25);
  refused("attention.scale", "= 0.25");
  metadata.set_bool("llama.attention.causal", false);
  refused("attention.causal", "= false");
  metadata.set_u32("llama.attention.sliding_window", 16);
  refused("attention.sliding_window", "= 16");
  metadata.set_u32("llama.rope.dimension_count", 4);
  refused("rope.dimension_count", "which turn all 2 numbers of a head");
  metadata.set_f32("llama.logit_scale", 1);
  metadata.set_u32("llama.attention.sliding_window", 64);
  metadata.set_u32("llama.rope.dimension_count", 2);
  EXPECT_EQ(error_of([&] { read_model_config(file()); }), "");
}

TEST_F(GgufConfig, IsRefusedForNumbersThatAreNone) {
  metadata.set_f32("llama.rope.freq_base", NAN);
  EXPECT_THAT(problem(), HasSubstr("rope_theta = nan must be"));
  metadata.set_f32("llama.rope.freq_base", 500);
  metadata.set_f32("llama.attention.layer_norm_rms_epsilon", -1);
  EXPECT_THAT(problem(), HasSubstr("epsilon = -1 must be"));
}

TEST_F(GgufConfig, SaysHowPositionsAreStretchedAsOldAndNewFilesDo) {
  metadata.set_f32("llama.rope.scale_linear", 4);
  EXPECT_EQ(read_model_config(file()).rope_scaling.rope_type, "linear");
  EXPECT_EQ(read_model_config(file()).rope_scaling.factor, 4);
  metadata.set_string("llama.rope.scaling.type", "yarn");
  metadata.set_f32("llama.rope.scaling.factor", 2);
  metadata.set_f32("llama.rope.scaling.yarn_beta_fast", 16);
  EXPECT_EQ(read_model_config(file()).rope_scaling.factor, 2);
  EXPECT_EQ(read_model_config(file()).rope_scaling.beta_fast, 16);
}

TEST_F(GgufConfig, NamesAMissingTensorAsTheFileWouldCallIt) {
  TensorFiles files(file());
  EXPECT_THAT(error_of([&] { files.at("model.layers.0.mlp.up_proj.weight", ""); }),
              AllOf(HasSubstr("m.gguf: no tensor \"blk.0.ffn_up.weight\""), HasSubstr("up_proj")));
}

}  // namespace
}  // namespace lathe
