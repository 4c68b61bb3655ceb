#include "lathe/train/checkpoint.h"

#include <gtest/gtest.h>

#include "lathe/nn/completion.h"
#include "tests/support/ranks.h"
#include "tests/support/run_counts.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

constexpr int64_t kTokens = 48, kHidden = 32;

using Wrap = std::unique_ptr<Block> (*)(std::unique_ptr<Block>);

std::unique_ptr<Block> as_it_is(std::unique_ptr<Block> block) { return block; }
std::unique_ptr<Block> both(std::unique_ptr<Block> block) { return checkpointed(recomputed(std::move(block))); }

struct WrappedModel {
  WrappedModel(const std::string& model_type, Wrap wrap, Mesh& mesh, DType compute = DType::f32) {
    ModelConfig config;
    config.model_type = model_type;
    config.vocab_size = 40;
    config.hidden_size = kHidden;
    config.num_hidden_layers = 3;
    config.num_attention_heads = 4;
    config.max_position_embeddings = kTokens;
    model = make_model(config, mesh);
    for (size_t i = 1; i + 1 < model->blocks.size(); ++i) model->blocks[i] = wrap(std::move(model->blocks[i]));
    complete_gradients(*model);
    inventory = model->inventory();
    make_ready(inventory, compute);
  }
  void step() { loss = run_step(*model, inventory, pass); }

  std::unique_ptr<Model> model;
  Inventory inventory;
  LossPass pass{random_tokens(kTokens, 40, 1), {0, 20, kTokens}, random_tokens(kTokens, 40, 2)};
  std::optional<float> loss;
};

NamedTensors gradients_of(const std::string& model_type, Wrap wrap, DType compute) {
  Runtime runtime({}, 256 << 20);
  WrappedModel wrapped(model_type, wrap, mesh_of_one(), compute);
  wrapped.step();
  NamedTensors named;
  put_gradients(wrapped.inventory, named);
  named["loss"] = {wrapped.loss.value()};
  return named;
}

TEST(Checkpoint, ChangesNoBitOfLossOrGradients) {
  for (const char* model_type : {"gpt2", "llama"})
    for (DType compute : {DType::f32, DType::bf16}) {
      NamedTensors plain = gradients_of(model_type, as_it_is, compute);
      for (Wrap wrap : {checkpointed, recomputed, both}) EXPECT_EQ(gradients_of(model_type, wrap, compute), plain);
    }
}

int64_t step_peak(const std::string& model_type, Wrap wrap) {
  return expect_meta_equals_cpu([&] {
           WrappedModel wrapped(model_type, wrap, mesh_of_one());
           Runtime::current().arena.forget_peak();
           wrapped.step();
         })
      .at_peak[size_t(Purpose::activations)];
}

TEST(Checkpoint, NeedsFewerActivationsTheMoreIsComputedAgain) {
  for (const char* model_type : {"gpt2", "llama"}) {
    int64_t all = step_peak(model_type, as_it_is), some = step_peak(model_type, recomputed);
    int64_t inputs = step_peak(model_type, checkpointed);
    EXPECT_LT(double(some), 0.85 * double(all)) << model_type;
    EXPECT_LT(double(inputs), 0.6 * double(all)) << model_type;
    EXPECT_EQ(step_peak(model_type, both), inputs) << model_type;  // one block at work needs all of it
  }
}

/// All-reduces of one hidden state in a step of three layers on two ranks.
int64_t all_reduces(Wrap wrap) {
  std::array<int64_t, 2> sent{};
  on_ranks(2, [&](Communicator& ranks) {
    Mesh mesh = tensor_mesh(ranks);
    WrappedModel wrapped("llama", wrap, mesh);
    int64_t before = Runtime::current().totals.bytes_communicated;
    wrapped.step();
    sent[size_t(ranks.rank())] = Runtime::current().totals.bytes_communicated - before;
  });
  EXPECT_EQ(sent[0], sent[1]);
  int64_t bytes = kTokens * kHidden * int64_t(sizeof(float));  // on the wire: 2 (n - 1) / n times as many
  EXPECT_EQ(sent[0] % bytes, 0);
  return sent[0] / bytes;
}

TEST(Checkpoint, ReducesSixTimesALayerOverTensorRanks) {
  EXPECT_EQ(all_reduces(as_it_is), 3 * 4);
  EXPECT_EQ(all_reduces(recomputed), 3 * 4);
  EXPECT_EQ(all_reduces(checkpointed), 3 * 6);
}

TEST(Checkpoint, KeepsTheNamesOfWhatItWraps) {
  Runtime runtime(Device{}.as_meta(), Runtime::kUnbounded);
  std::vector<std::string> names[2];
  for (int i : {0, 1})
    for (const Stored* stored : WrappedModel("gpt2", i ? both : as_it_is, mesh_of_one()).inventory.stored)
      names[i].push_back(stored->name());
  EXPECT_EQ(names[0], names[1]);
}

}  // namespace
}  // namespace lathe
