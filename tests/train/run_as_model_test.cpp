// A run's directory as others see it: a model.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "tests/train/tiny_run_support.h"

namespace lathe {
namespace {

using nlohmann::json;
using test::content_of;
using test::TinyRun;

/// A run of a few steps, with these changes to its job.
class ShortRun : public TinyRun {
 public:
  explicit ShortRun(std::vector<std::string> changes = {}) : TinyRun(short_job(std::move(changes))) {
    ProgramResult result = train();
    require(result.status == 0, result.errors);
  }

 private:
  static std::vector<std::string> short_job(std::vector<std::string> changes) {
    changes.push_back("training.steps=4");
    return changes;
  }
};

TEST(SlowRunAsAModel, NamesTheTokensOfItsTokenizer) {
  ShortRun run;
  json config = json::parse(content_of(run.run() + "/config.json"));
  json generation = json::parse(content_of(run.run() + "/generation_config.json"));
  json tokenizer = json::parse(content_of(run.run() + "/tokenizer.json"));
  json end;
  for (const json& token : tokenizer.at("added_tokens"))
    if (token.at("content") == "<|endoftext|>") end = token.at("id");
  ASSERT_TRUE(end.is_number());
  for (const char* name : {"bos_token_id", "eos_token_id"}) {
    EXPECT_EQ(config.at(name), end) << name;
    EXPECT_EQ(generation.at(name), end) << name;
  }
}

TEST(SlowRunAsAModel, NamesTheTokensThatTheJobNames) {
  ShortRun run({"model.eos_token_id=7", "model.bos_token_id=5"});
  json config = json::parse(content_of(run.run() + "/config.json"));
  EXPECT_EQ(config.at("eos_token_id"), 7);
  EXPECT_EQ(config.at("bos_token_id"), 5);
}

constexpr const char* kOpen = R"(
import logging, sys, warnings
warnings.simplefilter("error")
import torch, transformers
said = []
handler = logging.Handler()
handler.emit = lambda record: said.append(record.getMessage())
transformers.logging.add_handler(handler)
folder = sys.argv[1]
transformers.logging.set_verbosity_info()
config = transformers.GenerationConfig.from_pretrained(folder)
transformers.logging.set_verbosity_warning()
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = transformers.AutoModelForCausalLM.from_pretrained(folder)
assert config.eos_token_id == model.config.eos_token_id == tokenizer.eos_token_id, (config, model.config, tokenizer)
model.generate(**tokenizer("the cat", return_tensors="pt"), max_new_tokens=4)
said = [line for line in said if not line.startswith(("loading configuration file", "Generate config"))]
print("\\n".join(said), end="")
)";

class PeerRunAsAModel : public testing::TestWithParam<const char*> {};

TEST_P(PeerRunAsAModel, OpensInTransformersWithoutAWarning) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  ShortRun run({"model.resid_pdrop=0", text("model.model_type=", GetParam())});
  EXPECT_EQ(run_peer(kOpen, {run.run()}), "");
}

INSTANTIATE_TEST_SUITE_P(Families, PeerRunAsAModel, testing::Values("gpt2", "llama"));

}  // namespace
}  // namespace lathe
