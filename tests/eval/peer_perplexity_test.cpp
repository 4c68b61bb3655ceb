#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/files/load_model.h"
#include "lathe/files/model_config.h"
#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/whole_pass.h"

namespace lathe::eval {
namespace {

/// A random model of sys.argv[4] beside the tokenizer of sys.argv[5].
constexpr const char* kRandomModel = R"(
import shutil, sys, torch, transformers
folder, kind, tokenizer_folder = sys.argv[1], sys.argv[4], sys.argv[5]
torch.manual_seed(5)
if kind == "gpt2":
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64))
else:
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=50257, hidden_size=32, intermediate_size=48,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        bos_token_id=50256, eos_token_id=50256))
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.3) if parameter.dim() > 1 else torch.nn.init.normal_(parameter, mean=0.7, std=0.3)
model.eval().save_pretrained(folder)
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(tokenizer_folder + "/" + name, folder)
)";

/// The recipe of transformers' page on the perplexity of fixed-length models, after the end-of-text token; a window of
/// n tokens there predicts n - 1, so it asks for one more than lathe. Then the logits of the first window.
constexpr const char* kRecipe = R"(
import json, sys, torch, transformers
folder, text, window = sys.argv[1], sys.argv[2], int(sys.argv[3])
model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
ids = torch.tensor([[tokenizer.eos_token_id] + tokenizer(open(text).read())["input_ids"]])

def score(stride):
    nats, previous_end, tokens = 0.0, 0, 0
    for begin in range(0, ids.size(1), stride):
        end = min(begin + window + 1, ids.size(1))
        inputs = ids[:, begin:end]
        targets = inputs.clone()
        targets[:, :-(end - previous_end)] = -100
        loss = model(inputs, labels=targets).loss
        count = int((targets[:, 1:] != -100).sum())
        nats, tokens, previous_end = nats + float(loss) * count, tokens + count, end
        if end == ids.size(1):
            return {"stride": stride, "loss": nats / tokens, "tokens": tokens}

with torch.no_grad():
    first = ids[:, :window]
    print(json.dumps({"scores": [score(window // 2), score(window)], "ids": first[0].tolist(), "bos": model.config.bos_token_id,
                      "logits": model.eval()(first).logits.flatten().tolist()}))
)";

using nlohmann::json;

constexpr const char* kWindow = "48";

void expect_equal_scores(const std::string& model, const std::string& text, const json& expected) {
  for (const json& score : expected["scores"]) {
    ProgramResult result =
        run_lathe({"--threads", "1", "evaluate", "perplexity", model, text, "--json", "--window", kWindow, "--stride",
                   std::to_string(score["stride"].get<int>()), "--dtype", "f32"});
    ASSERT_EQ(result.status, 0) << result.errors;
    json found = json::parse(result.output);
    EXPECT_EQ(found["tokens"], score["tokens"]);
    EXPECT_NEAR(found["loss"].get<double>() / score["loss"].get<double>(), 1, 1e-5);
  }
}

void expect_equal_logits(const std::string& model_directory, const json& expected) {
  Runtime runtime({}, int64_t{64} << 20);
  ModelConfig config = read_model_config(model_directory);
  auto model = load_model(TensorFiles(model_directory), config, DType::f32);
  std::vector<int32_t> ids = expected["ids"].get<std::vector<int32_t>>();
  WholePass pass(ids, {0, int32_t(ids.size())});
  std::vector<float> logits = values_of(model->forward(pass)), theirs = expected["logits"].get<std::vector<float>>();
  ASSERT_EQ(logits.size(), theirs.size());
  float largest = 0;
  for (float logit : theirs) largest = std::max(largest, std::abs(logit));
  for (size_t i = 0; i < logits.size(); ++i) ASSERT_NEAR(logits[i], theirs[i], 1e-5 * largest) << i;
}

/// Trains a few steps, with the commands that a user would give.
std::string trained_run(const TemporaryDirectory& folder, const std::string& kind, const std::string& text) {
  std::string job = folder.file("job.toml", R"([model]
vocab_size = 300
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 4
max_position_embeddings = 64
initializer_range = 0.2
[training]
steps = 5
micro_batch = 4
[[data.corpus]]
path = ")" + folder.path("shards\"\n"));
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"tokenizer", "train", text, "--out", folder.path("tokenizer"), "--vocabulary-size", "300"},
           {"data", "prepare", text, "--tokenizer", folder.path("tokenizer"), "--out", folder.path("shards")},
           {"--threads", "1", "train", job, "--set", "run=" + folder.path("run"), "model.model_type=" + kind}}) {
    ProgramResult result = run_lathe(arguments);
    require(result.status == 0, result.errors);
  }
  return folder.path("run");
}

class PeerPerplexity : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!peers_are_ready()) GTEST_SKIP() << no_peers();
    tokenizer = shared_data("models/gpt2_tiny_random");
    std::string corpus = shared_data("tinyshakespeare/input.txt");
    if (tokenizer.empty() || corpus.empty()) GTEST_SKIP() << no_shared_data("models/gpt2_tiny_random");
    text = folder.file("text.txt", content_of(corpus).substr(0, 1500));
  }

  TemporaryDirectory folder;
  std::string tokenizer, text;
};

TEST_P(PeerPerplexity, EqualsThatOfTransformersForAModelThatItSaved) {
  std::string code = std::string(kRandomModel) + kRecipe, model = folder.path("model");
  json expected = json::parse(run_peer(code, {model, text, kWindow, GetParam(), tokenizer}));
  expect_equal_scores(model, text, expected);
}

TEST_P(PeerPerplexity, EqualsThatOfTransformersForARunThatLatheTrained) {
  std::string run = trained_run(folder, GetParam(), text);
  json expected = json::parse(run_peer(kRecipe, {run, text, kWindow}));
  EXPECT_EQ(expected["bos"], 0);  // the tokenizer's first special token ends a document, and begins one
  expect_equal_scores(run, text, expected);
  expect_equal_logits(run, expected);
}

INSTANTIATE_TEST_SUITE_P(Families, PeerPerplexity, testing::Values("gpt2", "llama"));

}  // namespace
}  // namespace lathe::eval
