// Decoders that give rewards against what transformers makes of the same weights: tests/models/make_reward_fixtures.py.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "lathe/base/json.h"
#include "lathe/base/threads.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/infer/encoding_pass.h"
#include "lathe/infer/host_logits.h"
#include "lathe/infer/text_reader.h"
#include "lathe/nn/completion.h"
#include "lathe/nn/loss.h"
#include "lathe/ops/elementwise.h"
#include "lathe/tensor/sum.h"
#include "tests/support/checkout.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

using Lists = std::vector<std::vector<uint32_t>>;

std::vector<WholeText> whole_texts(const Lists& lists) {
  std::vector<WholeText> texts;
  for (const auto& list : lists) texts.push_back({list, {}, {}});
  return texts;
}

/// Ends in -log sigmoid(first reward - second): the first of two rewards as the likelier of two logits.
class PreferenceLoss : public EncodingPass {
 public:
  explicit PreferenceLoss(const EncodingLimits& limits)
      : EncodingPass(limits), target_(tensor_of(std::vector<int32_t>{0})), scale_(zeros({1})) {
    fill(scale_, 1);
  }
  Tensor finish_sequences(const Tensor& rows, const Project& head) override {
    return chunked_cross_entropy(
        reshape(head(rows), {1, 2}), [](const Tensor& rewards) { return rewards; }, target_, scale_, 1);
  }

 private:
  Tensor target_, scale_;
};

class RewardFixtures : public testing::TestWithParam<const char*> {
 protected:
  RewardFixtures()
      : directory_((checkout() / "tests/models/reward_fixtures" / GetParam()).string()),
        expected_(read_json(directory_ + "/expected.json")),
        config_(read_model_config(directory_)),
        sequences_(expected_["sequences"].get<Lists>()) {
    set_threads(1);  // at this size, threads would wait for each other longer than they work
  }

  std::unique_ptr<Model> model(DType compute) const {
    auto model = make_model(config_);
    complete_gradients(*model);
    Inventory inventory = model->inventory();
    for (Parameter* parameter : inventory.parameters) parameter->materialize_trained(compute);
    load_tensors(inventory, TensorFiles(directory_), family_named(config_.model_type).tensor_prefix);
    return model;
  }

  void expect_rewards(const std::vector<float>& found, float tolerance) const {
    auto rewards = expected_["rewards"].get<std::vector<float>>();
    ASSERT_EQ(found.size(), rewards.size());
    for (size_t i = 0; i < rewards.size(); ++i)
      EXPECT_NEAR(found[i], rewards[i], tolerance * std::max(std::abs(rewards[i]), 1.0f));
  }

  std::string directory_;
  nlohmann::json expected_;
  ModelConfig config_;
  Lists sequences_;
};
INSTANTIATE_TEST_SUITE_P(Families, RewardFixtures,
                         testing::Values("llama", "mistral", "qwen2", "gemma", "gpt2", "opt", "gptj", "gpt_neox",
                                         "bloom", "falcon", "qwen3", "gemma2", "gemma3_text", "phi3"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(RewardFixtures, HaveTheRewardsOfTransformers) {
  for (DType compute : {DType::f32, DType::bf16}) {
    std::vector<float> rewards;
    TextReader reader(TensorFiles(directory_), config_,
                      {.limits = {.sequences = 2}, .device = {}, .compute = compute, .memory = 64 << 20},
                      [&](const Tensor& rows, const Packed&) {
                        HostLogits host(rows);
                        std::vector<float> reward;
                        for (int64_t i = 0; host.known() && i < rows.shape()[0]; ++i) {
                          host.row(i, 1, reward);
                          rewards.push_back(reward[0]);
                        }
                      });
    reader.read(whole_texts(sequences_));
    expect_rewards(rewards, compute == DType::f32 ? 1e-5f : 0.06f);
  }
}

TEST_P(RewardFixtures, HaveTheGradientsOfTransformers) {
  Runtime runtime({}, 64 << 20);
  auto model = this->model(DType::f32);
  Inventory inventory = model->inventory();
  PreferenceLoss pass({.tokens = 32, .sequences = 2});
  pass.load(whole_texts(sequences_));
  EXPECT_NEAR(run_step(*model, inventory, pass).value(), expected_["loss"].get<float>(), 1e-5f);
  NamedTensors gradients;
  put_gradients(inventory, gradients);
  ASSERT_EQ(gradients.size(), expected_["gradients"].size());
  for (const auto& [name, values] : gradients) {
    double squares = 0, wave = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      squares += double(values[i]) * double(values[i]);
      wave += double(values[i]) * std::cos(0.7 * double(i) + 1);
    }
    auto check = expected_["gradients"].at(name).get<std::vector<double>>();
    double most = 1e-4 * check[0] + 1e-6;  // a key's bias has none but rounding
    EXPECT_NEAR(std::sqrt(squares), check[0], most) << name;
    EXPECT_NEAR(wave, check[1], most) << name;
  }
}

TEST_P(RewardFixtures, KeepTheirOneLabelWhenWritten) {
  nlohmann::json written = nlohmann::json::parse(model_config_json(config_, DType::f32));
  EXPECT_EQ(written["id2label"], nlohmann::json({{"0", "LABEL_0"}}));
  EXPECT_EQ(written["pad_token_id"], 3);
  EXPECT_EQ(written["architectures"], read_json(directory_ + "/config.json")["architectures"]);
}

}  // namespace
}  // namespace lathe
