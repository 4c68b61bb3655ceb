#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr int kTokens = 16;

constexpr const char* kLogits = R"(
import sys, torch, transformers
path, out = sys.argv[1:3]
folder, name = path.rsplit("/", 1)
model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
ids = torch.tensor([[(i * 379 + 11) % 40000 for i in range(16)]])
with torch.no_grad():
    model.eval()(ids).logits[0].numpy().astype("<f4").tofile(out)
)";

/// Real weights of build/models (script/setup --models).
class SlowGguf : public testing::TestWithParam<const char*> {};

TEST_P(SlowGguf, GivesTheLogitsThatTransformersFindsInTheSameFile) {
  const std::string model = (checkout() / "build" / "models" / GetParam()).string();
  if (!fs::exists(model)) GTEST_SKIP() << model << " is not there; script/setup --models fetches it";
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  TemporaryDirectory folder;
  run_peer(kLogits, {model, folder.path("logits")});

  Runtime runtime({}, int64_t{4} << 30);
  const ModelConfig config = read_model_config(model);
  std::unique_ptr<Model> ours = ready_model(config);
  load_tensors(ours->inventory(), TensorFiles(model), family_named(config.model_type).tensor_prefix);
  std::vector<int32_t> tokens(kTokens);
  for (int32_t i = 0; i < kTokens; ++i) tokens[size_t(i)] = (i * 379 + 11) % 40000;
  WholePass pass(tokens, {0, kTokens});
  std::vector<float> logits = values_of(ours->forward(pass)), theirs(logits.size());
  std::ifstream file(folder.path("logits"), std::ios::binary);
  ASSERT_TRUE(file.read(reinterpret_cast<char*>(theirs.data()), std::streamsize(theirs.size() * 4)));
  double largest = 0, scale = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    largest = std::max(largest, std::abs(double(logits[i]) - theirs[i]));
    scale = std::max(scale, std::abs(double(theirs[i])));
  }
  RecordProperty("largest_difference", std::to_string(largest / scale));
  EXPECT_LE(largest / scale, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Models, SlowGguf,
                         testing::Values("SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"));

}  // namespace
}  // namespace lathe
