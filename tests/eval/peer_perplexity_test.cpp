#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/checkout.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"

namespace lathe::eval {
namespace {

/// Makes a random model beside the published tokenizer, and follows the recipe of transformers' page on the perplexity
/// of fixed-length models; a window of n tokens there predicts n - 1, so it asks for one more than lathe.
constexpr const char* kRecipe = R"(
import json, shutil, sys, torch, transformers
tokenizer_folder, folder, text = sys.argv[1:4]
kind, window, stride = sys.argv[4], int(sys.argv[5]) + 1, int(sys.argv[6])
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
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
ids = torch.tensor([[50256] + tokenizer(open(text).read())["input_ids"]])
nats, previous_end, tokens = 0.0, 0, 0
for begin in range(0, ids.size(1), stride):
    end = min(begin + window, ids.size(1))
    inputs = ids[:, begin:end]
    targets = inputs.clone()
    targets[:, :-(end - previous_end)] = -100
    with torch.no_grad():
        loss = model(inputs, labels=targets).loss
    count = int((targets[:, 1:] != -100).sum())
    nats, tokens, previous_end = nats + float(loss) * count, tokens + count, end
    if end == ids.size(1):
        break
print(json.dumps({"loss": nats / tokens, "tokens": tokens}))
)";

class PeerPerplexity : public testing::TestWithParam<const char*> {};

TEST_P(PeerPerplexity, EqualsThatOfTransformersRecipe) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  std::string tokenizer = shared_data("models/gpt2_tiny_random"), corpus = shared_data("tinyshakespeare/input.txt");
  if (tokenizer.empty() || corpus.empty()) GTEST_SKIP() << no_shared_data("models/gpt2_tiny_random");
  TemporaryDirectory folder;
  std::string text = folder.file("text.txt", content_of(corpus).substr(0, 1500));
  for (const char* stride : {"24", "48"}) {
    auto expected =
        nlohmann::json::parse(run_peer(kRecipe, {tokenizer, folder.path("model"), text, GetParam(), "48", stride}));
    ProgramResult result = run_lathe({"--threads", "1", "evaluate", "perplexity", folder.path("model"), text, "--json",
                                      "--window", "48", "--stride", stride, "--dtype", "f32"});
    ASSERT_EQ(result.status, 0) << result.errors;
    auto found = nlohmann::json::parse(result.output);
    EXPECT_EQ(found["tokens"], expected["tokens"]);
    EXPECT_NEAR(found["loss"].get<double>() / expected["loss"].get<double>(), 1, 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, PeerPerplexity, testing::Values("gpt2", "llama"));

}  // namespace
}  // namespace lathe::eval
