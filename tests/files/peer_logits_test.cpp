#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "lathe/base/durable_file.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMake = R"(
import sys, torch, transformers
folder, kind = sys.argv[1:3]
torch.manual_seed(7)
if kind == "gpt2":
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=97, n_embd=48, n_layer=3, n_head=4, n_positions=64))
elif kind == "llama":
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=3,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=64, attention_bias=True, mlp_bias=True, rope_theta=500.0))
elif kind == "gemma3":
    text = transformers.Gemma3TextConfig(vocab_size=97, hidden_size=32, intermediate_size=64, num_hidden_layers=7, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, sliding_window=8, max_position_embeddings=64)
    vision = transformers.SiglipVisionConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    model = transformers.Gemma3ForConditionalGeneration(transformers.Gemma3Config(text_config=text, vision_config=vision, image_token_index=96,
        mm_tokens_per_image=4))
elif kind == "llava":
    text = transformers.LlamaConfig(vocab_size=97, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64)
    vision = transformers.CLIPVisionConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    model = transformers.LlavaForConditionalGeneration(transformers.LlavaConfig(text_config=text, vision_config=vision, image_token_index=96))
else:
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=97, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, head_dim=32, max_position_embeddings=64, tie_word_embeddings=True))
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.2) if parameter.dim() > 1 else torch.nn.init.normal_(parameter, mean=0.5, std=0.3)
model.eval().save_pretrained(folder, max_shard_size="60KB" if kind == "llama" else "5GB")
)";

constexpr const char* kLogits = R"(
import sys, torch, transformers
folder = sys.argv[1]
kind = transformers.AutoConfig.from_pretrained(folder).model_type
opener = transformers.AutoModelForImageTextToText if kind in ("gemma3", "llava") else transformers.AutoModelForCausalLM
model, info = opener.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
ids = torch.tensor([[(i * 37 + 11) % 95 for i in range(40)]])  # none is an image's
with torch.no_grad():
    model.eval()(ids).logits[0].numpy().astype("<f4").tofile(folder + "/logits.f32")
)";

/// What `code`, which ends in kLogits, finds in `folder`.
std::vector<float> peer_logits(const std::string& code, const fs::path& folder, const std::string& kind) {
  run_peer(code, {folder.string(), kind});
  std::ifstream file(folder / "logits.f32", std::ios::binary);
  std::vector<float> logits(40 * 97);
  file.read(reinterpret_cast<char*>(logits.data()), std::streamsize(logits.size() * 4));
  return logits;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0, scale = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(double(a[i]) - b[i]));
    scale = std::max(scale, std::abs(double(b[i])));
  }
  return largest / scale;
}

class PeerLogits : public testing::TestWithParam<const char*> {};

TEST_P(PeerLogits, EqualThoseOfTransformersBothWays) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  TemporaryDirectory temporary;
  fs::path folder = temporary.path(), back = folder / "back";
  fs::create_directory(back);
  std::vector<float> expected = peer_logits(std::string(kMake) + kLogits, folder, GetParam());

  Runtime runtime({}, int64_t{1} << 30);
  ModelConfig config = read_model_config(folder.string());
  auto model = ready_model(config);
  load_tensors(model->inventory(), TensorFiles(folder.string()), family_named(config.model_type).tensor_prefix);
  std::vector<int32_t> tokens(40);
  for (int32_t i = 0; i < 40; ++i) tokens[size_t(i)] = (i * 37 + 11) % 95;
  WholePass pass(tokens, {0, 40});
  EXPECT_LE(largest_difference(values_of(model->forward(pass)), expected), 1e-5);

  replace_file((back / "config.json").string(), model_config_json(config, DType::f32));
  save_tensors(back.string(), tensor_sources(model->inventory(), DType::f32), 50'000);
  EXPECT_LE(largest_difference(peer_logits(kLogits, back, GetParam()), expected), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Families, PeerLogits, testing::Values("gpt2", "llama", "llama-tied"));
INSTANTIATE_TEST_SUITE_P(TextsOfVisionModels, PeerLogits, testing::Values("gemma3", "llava"));

constexpr const char* kOpenAll = R"(
import json, os, sys, torch, transformers
folder, fixtures = sys.argv[1:3]
for kind in sorted(os.listdir(folder)):
    expected = json.load(open(os.path.join(fixtures, kind, "expected.json")))
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        os.path.join(folder, kind), dtype=torch.float32, output_loading_info=True,
        attn_implementation="sdpa" if kind.startswith("falcon") else "eager")
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], (kind, info)
    for ids, logits in zip(expected["sequences"], expected["logits"]):
        with torch.no_grad():
            found, wanted = model.eval()(torch.tensor([ids])).logits.flatten(), torch.tensor(logits)
        assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max(), (kind, (found - wanted).abs().max())
    print(kind)
)";

TEST(PeerFamilies, OpenWhatLatheSavesWithTheSameLogits) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  TemporaryDirectory folder;
  fs::path fixtures = checkout() / "tests/models/fixtures";
  std::string kinds;
  std::set<fs::path> sorted(fs::directory_iterator(fixtures), fs::directory_iterator{});
  for (const fs::path& path : sorted) {
    std::string kind = path.filename().string();
    fs::path weights = fs::exists(path / "model.safetensors") ? path : fixtures / kind.substr(0, kind.find('_'));
    Runtime runtime({}, 1 << 23);
    ModelConfig config = read_model_config(path.string());
    auto model = ready_model(config);
    load_tensors(model->inventory(), TensorFiles(weights.string()), family_named(config.model_type).tensor_prefix);
    fs::create_directory(fs::path(folder.path()) / kind);
    replace_file(folder.path(kind + "/config.json"), model_config_json(config, DType::f32));
    save_tensors(folder.path(kind), tensor_sources(model->inventory(), DType::f32), int64_t{1} << 30);
    kinds += kind + "\n";
  }
  EXPECT_EQ(run_peer(kOpenAll, {folder.path(), fixtures.string()}), kinds);
}

}  // namespace
}  // namespace lathe
