#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/files/load_model.h"
#include "lathe/infer/model_directory.h"
#include "tests/infer/infer_support.h"
#include "tests/support/program.h"

namespace lathe {
namespace {

using namespace test;
using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kWrite = R"(
import json, sys, torch, transformers
kind, folder, prompts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
torch.set_num_threads(1)
torch.manual_seed(3)
if kind == "gpt2":
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=257, n_embd=48, n_layer=3, n_head=4,
        n_positions=64, bos_token_id=0, eos_token_id=0))
else:
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=257, hidden_size=48, intermediate_size=80,
        num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=64, bos_token_id=0,
        eos_token_id=0))
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.3) if parameter.dim() > 1 else torch.nn.init.normal_(parameter, mean=0.5, std=0.3)
model.eval().save_pretrained(folder)
texts = []
for prompt in prompts:
    ids = torch.tensor([prompt])
    texts.append(model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=30, do_sample=False,
                                pad_token_id=0, repetition_penalty=float(sys.argv[4]))[0].tolist()[len(prompt):])
print(json.dumps(texts))
)";

class PeerGeneration : public testing::TestWithParam<std::pair<const char*, double>> {};

TEST_P(PeerGeneration, IsGreedilyThatOfTransformers) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  auto [kind, penalty] = GetParam();
  fs::path folder = fs::temp_directory_path() / text("lathe_greedy_", kind, '_', getpid());
  fs::create_directories(folder);
  std::vector<std::vector<TokenId>> prompts = {random_tokens(7, 1), random_tokens(1, 2), random_tokens(30, 3)};
  json expected = json::parse(run_peer(kWrite, {kind, folder.string(), json(prompts).dump(), std::to_string(penalty)}));
  byte_tokenizer().save(folder.string());

  ModelDirectory directory(folder.string());
  DecoderLimits limits = limits_for(prompts, 30, directory.config.max_position_embeddings, 3);
  InferencePlan plan = plan_inference(directory.config, DType::f32, limits);
  Runtime runtime({}, plan.capacity);
  std::unique_ptr<Model> model = load_model(directory.files, directory.config, DType::f32);
  GenerationOptions options = greedy(30);
  options.sampling.repetition_penalty = penalty;
  GenerationHooks hooks{.run_step = [&](const std::function<void()>& step) { replay(plan.step.placement, step); }};
  std::vector<Generated> written =
      generate(*model, directory.config, DType::f32, prompts, options, 3, hooks, directory.end_tokens);
  for (size_t i = 0; i < prompts.size(); ++i)
    EXPECT_EQ(written[i].tokens, expected[i].get<std::vector<TokenId>>()) << i;
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Families, PeerGeneration, testing::Values(std::pair{"gpt2", 1.0}, std::pair{"llama", 1.3}));

constexpr const char* kChoose = R"(
import json, sys, torch
from transformers.generation import logits_process as p
logits, history, options = (json.loads(argument) for argument in sys.argv[1:4])
ids, answers = torch.tensor([history]), []
for o in options:
    steps = []
    if o["repetition_penalty"] != 1: steps.append(p.RepetitionPenaltyLogitsProcessor(o["repetition_penalty"]))
    steps.append(p.TemperatureLogitsWarper(o["temperature"]))
    if o["top_k"]: steps.append(p.TopKLogitsWarper(o["top_k"]))
    if o["top_p"] < 1: steps.append(p.TopPLogitsWarper(o["top_p"]))
    if o["min_p"]: steps.append(p.MinPLogitsWarper(o["min_p"]))
    scores = torch.tensor([logits])
    for step in steps: scores = step(ids, scores)
    answers.append(scores.softmax(-1)[0].tolist())
print(json.dumps(answers))
)";

TEST(PeerSampler, DrawsFromTheProbabilitiesOfTransformers) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  std::vector<float> logits;
  for (uint64_t i = 0; i < 300; ++i) logits.push_back(2.5f * Random(5).normal(i));
  std::vector<uint32_t> history = random_tokens(40, 1);
  std::vector<SamplingOptions> all = {
      {},
      {.temperature = 0.7},
      {.top_k = 20},
      {.top_p = 0.8},
      {.min_p = 0.05},
      {.repetition_penalty = 1.4},
      {.repetition_penalty = 0.8, .temperature = 1.3, .top_k = 50, .top_p = 0.9, .min_p = 0.02}};
  json options;
  for (const SamplingOptions& o : all)
    options.push_back({{"repetition_penalty", o.repetition_penalty},
                       {"temperature", o.temperature},
                       {"top_k", o.top_k},
                       {"top_p", o.top_p},
                       {"min_p", o.min_p}});
  json answers = json::parse(run_peer(kChoose, {json(logits).dump(), json(history).dump(), options.dump()}));
  for (size_t i = 0; i < all.size(); ++i) {
    auto expected = answers[i].get<std::vector<double>>();
    std::vector<double> actual(expected.size(), 0.0);
    Sampler sampler(all[i], 0);
    for (const Candidate& c : sampler.candidates(logits, history)) actual[c.token] = double(c.probability);
    for (size_t token = 0; token < expected.size(); ++token)
      EXPECT_NEAR(actual[token], expected[token], 1e-6) << options[i] << ' ' << token;
  }
}

}  // namespace
}  // namespace lathe
