// transformers opens what lathe saves of encoders, encoder-decoders and models that give rewards.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "lathe/base/durable_file.h"
#include "lathe/base/json.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOpenAll = R"(
import json, os, sys, torch, transformers
folder, encoders, rewards = sys.argv[1:4]

def padded(lists, padding):
    longest = max(map(len, lists))
    return torch.tensor([s + [padding] * (longest - len(s)) for s in lists])

def rows_of(output, head, expected, lengths):
    if head == "hidden":
        return [output.last_hidden_state[i, :n] for i, n in enumerate(lengths)]
    if head == "masked_lm":
        return [output.logits[i, masked] for i, masked in enumerate(expected["masked"])]
    if head == "token_labels":
        return [output.logits[i, :n] for i, n in enumerate(lengths)]
    if head == "spans":
        return [torch.stack([output.start_logits[i, :n], output.end_logits[i, :n]], 1) for i, n in enumerate(lengths)]
    if head == "text":
        return [output.logits[i, :len(target)] for i, target in enumerate(expected["targets"])]
    return output.logits  # labels of whole texts

def inputs_of(model, head, expected, texts):
    padding = model.config.pad_token_id
    inputs = {"input_ids": padded(texts, padding), "attention_mask": padded([[1] * len(s) for s in texts], 0)}
    if model.config.model_type == "bert":
        inputs["token_type_ids"] = padded(expected["types"], 0)
    if head == "text":
        begun = [[model.config.decoder_start_token_id] + target[:-1] for target in expected["targets"]]
        inputs["decoder_input_ids"] = padded(begun, padding)
    return inputs

for name in sorted(os.listdir(folder)):
    kind, head = name.split(".")
    path = os.path.join(folder, name)
    expected = json.load(open(os.path.join(rewards if head == "reward" else encoders, kind, "expected.json")))
    model_class = getattr(transformers, transformers.AutoConfig.from_pretrained(path).architectures[0])
    model, info = model_class.from_pretrained(path, dtype=torch.float32, output_loading_info=True, attn_implementation="eager")
    missing = [key for key in info["missing_keys"] if "pooler" not in key]  # lathe has no use for one beside hidden rows
    assert not missing and not info["unexpected_keys"] and not info["mismatched_keys"], (name, info)
    texts = expected["sources"] if "sources" in expected else expected["sequences"]
    wanted = expected["rewards"] if head == "reward" else expected["logits"] if head == "text" else expected["heads"][head]["logits"]
    with torch.no_grad():
        output = model.eval()(**inputs_of(model, head, expected, texts))
    found = torch.cat([row.flatten() for row in rows_of(output, head, expected, list(map(len, texts)))])
    wanted = torch.tensor(wanted)
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max(), (name, (found - wanted).abs().max())
    print(name)
)";

/// Opens the fixture in `from` as `config` says, and saves it as `to`.
void save_again(const fs::path& from, const ModelConfig& config, const std::string& to) {
  Runtime runtime({}, 1 << 23);
  auto model = ready_model(config);
  load_tensors(model->inventory(), TensorFiles(from.string()), family_named(config.model_type).tensor_prefix);
  fs::create_directory(to);
  replace_file(to + "/config.json", model_config_json(config, DType::f32));
  save_tensors(to, tensor_sources(model->inventory(), DType::f32), int64_t{1} << 30);
}

std::set<fs::path> sorted(const fs::path& directory) {
  return {fs::directory_iterator(directory), fs::directory_iterator{}};
}

TEST(PeerEncoders, OpenWhatLatheSavesWithTheSameOutputs) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  TemporaryDirectory folder;
  fs::path encoders = checkout() / "tests/models/encoder_fixtures",
           rewards = checkout() / "tests/models/reward_fixtures";
  std::set<std::string> names;
  auto save = [&](const fs::path& from, const std::string& head, const ModelConfig& config) {
    names.insert(from.filename().string() + "." + head);
    save_again(from, config, folder.path(from.filename().string() + "." + head));
  };
  for (const fs::path& from : sorted(encoders)) {
    nlohmann::json expected = read_json((from / "expected.json").string());
    ModelConfig config = read_model_config(from.string());
    if (expected.contains("sources")) save(from, "text", config);
    nlohmann::json heads = expected.value("heads", nlohmann::json::object());
    for (const auto& [head, of_head] : heads.items()) {
      ModelConfig asked = config;
      asked.architecture = of_head["architecture"].get<std::string>();
      if (head == "spans") asked.labels = {"LABEL_0", "LABEL_1"};  // transformers counts the head's outputs by them
      save(from, head, asked);
    }
  }
  for (const fs::path& from : sorted(rewards)) save(from, "reward", read_model_config(from.string()));
  std::string all;
  for (const std::string& name : names) all += name + "\n";
  EXPECT_EQ(run_peer(kOpenAll, {folder.path(), encoders.string(), rewards.string()}), all);
}

}  // namespace
}  // namespace lathe
