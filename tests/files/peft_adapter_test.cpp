#include "lathe/files/peft_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/base/json.h"
#include "lathe/base/threads.h"
#include "lathe/files/gguf_model.h"
#include "lathe/files/load_model.h"
#include "lathe/files/model_config.h"
#include "lathe/infer/decoder.h"
#include "tests/files/files_support.h"
#include "tests/support/checkout.h"
#include "tests/support/error_of.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

/// A LoRA that PEFT saved, its base model, and what PEFT computes: see make_adapter_fixtures.py.
struct AdapterFixture {
  explicit AdapterFixture(const std::string& kind) : folder(checkout() / "tests/files/adapter_fixtures" / kind) {
    json expected = read_json((folder / "expected.json").string());
    base = (checkout() / "tests/models/fixtures" / expected["base"].get<std::string>()).string();
    expected["logits"].get_to(logits);
    tokens = read_json(base + "/expected.json")["sequences"].back().get<std::vector<int32_t>>();
    config = read_model_config(base);
  }
  std::string path() const { return folder.string(); }

  fs::path folder;
  std::string base;
  ModelConfig config;
  std::vector<int32_t> tokens;
  std::vector<float> logits;
};

/// Largest difference of the model's logits from PEFT's, as a share of the largest.
double difference(Model& model, const AdapterFixture& fixture) {
  WholePass pass(fixture.tokens, {0, int32_t(fixture.tokens.size())});
  std::vector<float> found = values_of(model.forward(pass));
  if (found.size() != fixture.logits.size()) return INFINITY;
  float largest = 0, scale = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    largest = std::max(largest, std::abs(found[i] - fixture.logits[i]));
    scale = std::max(scale, std::abs(fixture.logits[i]));
  }
  return double(largest / scale);
}

class AdapterKinds : public testing::TestWithParam<const char*> {
 protected:
  AdapterKinds() { set_threads(1); }
  AdapterFixture fixture{GetParam()};
  PeftAdapter adapter{fixture.path(), fixture.config};
  TensorFiles files{fixture.base};
};
INSTANTIATE_TEST_SUITE_P(Peft, AdapterKinds,
                         testing::Values("patterns", "rslora", "transposed", "interleaved", "fused", "headless",
                                         "table", "dora"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(AdapterKinds, GiveThePeersLogitsBesideTheWeights) {
  Runtime runtime({}, 1 << 23);
  adapter.put_into(files);
  auto model = load_model(files, fixture.config, DType::f32, &adapter);
  EXPECT_LE(difference(*model, fixture), 1e-5);
}

TEST_P(AdapterKinds, GiveThePeersLogitsMergedIntoTheWeights) {
  Runtime runtime({}, 1 << 23);
  adapter.merge_into(files);
  auto model = load_model(files, fixture.config, DType::f32);
  EXPECT_LE(difference(*model, fixture), 1e-5);
}

TEST_P(AdapterKinds, TakeTheBytesOfTheirPlan) {
  adapter.put_into(files);
  DecoderLimits limits{.sequences = 2, .length = 8, .step_tokens = 8};
  auto load = [&] { return load_model(files, fixture.config, DType::bf16, &adapter); };
  InferencePlan plan = plan_inference(load, fixture.config, DType::bf16, limits);
  Runtime exact({}, plan.capacity);
  auto model = load();
  Decoder decoder(*model, fixture.config, DType::bf16, limits);
  EXPECT_EQ(exact.arena.use().reserved, plan.persistent);
  replay(plan.step.placement, [&] { decoder.largest_step(); });
  EXPECT_EQ(exact.arena.use().reserved, plan.capacity);
}

class PeftAdapterFiles : public test::FolderTest {
 protected:
  PeftAdapterFiles() {
    fs::copy(fixture.path(), path("lora"));
    config = read_json(path("lora/adapter_config.json"));
  }
  std::string problem() const {
    write("lora/adapter_config.json", config.dump());
    return error_of([&] { PeftAdapter(path("lora"), fixture.config); });
  }
  std::string problem_with(const char* field, const json& value) {
    config[field] = value;
    std::string found = problem();
    config = read_json(fixture.path() + "/adapter_config.json");
    return found;
  }

  AdapterFixture fixture{"patterns"};
  json config;
};

TEST_F(PeftAdapterFiles, AreMergedIntoAGgufFile) {
  Runtime runtime({}, 1 << 23);
  PeftAdapter adapter(fixture.path(), fixture.config);
  TensorFiles files(fixture.base);
  adapter.merge_into(files);
  write_gguf(path("m.gguf"), gguf_metadata(fixture.config, GgmlType::f32),
             gguf_sources(files, fixture.config, GgmlType::f32));
  TensorFiles merged(path("m.gguf"));
  EXPECT_LE(difference(*load_model(merged, fixture.config, DType::f32), fixture), 1e-5);
}

TEST_F(PeftAdapterFiles, WorkBesideAGgufFileInBlocks) {
  Runtime runtime({}, 1 << 24);
  PeftAdapter adapter(fixture.path(), fixture.config);
  TensorFiles files(fixture.base);
  write_gguf(path("q.gguf"), gguf_metadata(fixture.config, GgmlType::f16),
             gguf_sources(files, fixture.config, GgmlType::f16));
  TensorFiles blocks(path("q.gguf"));
  adapter.put_into(blocks);
  EXPECT_LE(difference(*load_model(blocks, fixture.config, DType::f32, &adapter), fixture), 2e-3);
}

TEST_F(PeftAdapterFiles, AreRefusedWhereTheyAskForWhatIsNotBuilt) {
  EXPECT_THAT(problem_with("peft_type", "IA3"), HasSubstr("adapter_config.json: peft_type is IA3: lathe reads"));
  EXPECT_THAT(problem_with("init_lora_weights", "pissa_niter_4"), HasSubstr("changes the base model"));
  EXPECT_THAT(problem_with("lora_bias", true), HasSubstr("lora_bias is true"));
  EXPECT_THAT(problem_with("target_parameters", {"x"}), HasSubstr("target_parameters"));
  EXPECT_THAT(problem_with("r", "four"), HasSubstr("r must be a whole number"));
  EXPECT_THAT(problem_with("target_modules", "(q_proj"), HasSubstr("regular expression"));
  EXPECT_THAT(problem_with("rank_pattern", {{"v_proj", -2}}),
              HasSubstr("rank_pattern.v_proj must be a number above 0"));
  EXPECT_THAT(problem_with("rank_pattern", {{"v_proj", 0.5}}), HasSubstr("ranks are whole numbers"));
}

TEST_F(PeftAdapterFiles, MustFitTheirConfiguration) {
  EXPECT_THAT(problem(), "");
  EXPECT_THAT(problem_with("r", 5), AllOf(HasSubstr("lora_A.weight\" is [4, "), HasSubstr("needs [5, ")));
  EXPECT_THAT(problem_with("target_modules", {"q_proj", "v_proj", "gate_proj", "down_proj", "up_proj"}),
              HasSubstr("no tensors of model.layers.0.mlp.up_proj"));
  EXPECT_THAT(problem_with("target_modules", {"q_proj"}), HasSubstr("do not name it"));
  EXPECT_THAT(problem_with("use_dora", true), HasSubstr("there is no magnitude"));
}

TEST_F(PeftAdapterFiles, MustBeNumbers) {
  AdapterFixture dora("dora");
  TensorFiles files = TensorFiles::of_file(dora.path() + "/adapter_model.safetensors");
  std::vector<TensorSource> sources;
  for (const std::string& name : files.names()) {
    const FileTensor& tensor = *files.find(name);
    DType dtype = name.ends_with("magnitude_vector") ? DType::i32 : DType::f32;
    sources.push_back({name, dtype, tensor.shape, [&tensor](const auto& write) { write(tensor.bytes); }});
  }
  write_safetensors(path("lora/adapter_model.safetensors"), sources);
  config = read_json(dora.path() + "/adapter_config.json");
  EXPECT_THAT(problem(), HasSubstr("has type I32; an adapter needs F32"));
}

TEST_F(PeftAdapterFiles, MustFitTheirBaseModel) {
  AdapterFixture other("transposed");
  EXPECT_THAT(error_of([&] { PeftAdapter(fixture.path(), other.config); }),
              AllOf(HasSubstr("has no place"), HasSubstr("is this its base model?")));
  fixture.config.intermediate_size = 40;
  EXPECT_THAT(problem(), AllOf(HasSubstr("is [4, 32]"), HasSubstr("needs [4, 40]")));
  EXPECT_THAT(error_of([&] { PeftAdapter(fixture.base, fixture.config); }), HasSubstr("no adapter_config.json"));
  fs::remove(path("lora/adapter_model.safetensors"));
  EXPECT_THAT(problem(), HasSubstr("neither adapter_model.safetensors nor adapter_model.bin"));
}

TEST(LoraConfigNames, AreThoseThatPeftMeans) {
  ModuleNames list = ModuleNames::list({"q_proj", "layers.1.mlp"});
  EXPECT_TRUE(list.has("model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(list.has("q_proj"));
  EXPECT_FALSE(list.has("model.layers.0.self_attn.xq_proj"));
  ModuleNames expression = ModuleNames::expression(R"(.*\.(q|k)_proj)");
  EXPECT_TRUE(expression.has("a.k_proj"));
  EXPECT_FALSE(expression.has("a.k_proj.b"));
}

}  // namespace
}  // namespace lathe
