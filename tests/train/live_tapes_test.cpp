// One model in two stages, several micro-batches in flight (Narayanan et al. 2019): the tapes of some record while
// others run backward, each seeded at several outputs.
#include <gtest/gtest.h>

#include "lathe/base/threads.h"
#include "lathe/nn/catcher.h"
#include "lathe/nn/completion.h"
#include "lathe/ops/elementwise.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"
#include "lathe/train/checkpoint.h"
#include "tests/support/run_counts.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

constexpr int64_t kTokens = 12, kVocabulary = 40;
constexpr size_t kFirstOfLast = 2;  // embedding and one layer are the first stage
constexpr float kShare = 0.05f;     // of the squares of what passes between the stages, a loss of the first stage

using Wrap = std::unique_ptr<Block> (*)(std::unique_ptr<Block>);

std::unique_ptr<Block> as_it_is(std::unique_ptr<Block> block) { return block; }

struct Staged {
  Staged(const std::string& model_type, Wrap wrap, DType compute) {
    set_threads(1);  // at this size, threads would wait for each other longer than they work
    ModelConfig config;
    config.model_type = model_type;
    config.vocab_size = kVocabulary;
    config.hidden_size = 16;
    config.num_hidden_layers = 3;
    config.num_attention_heads = 2;
    config.max_position_embeddings = kTokens;
    config.tie_word_embeddings = true;
    config.initializer_range = 0.2;
    model = make_model(config);
    for (size_t i = 1; i + 1 < model->blocks.size(); ++i) model->blocks[i] = wrap(std::move(model->blocks[i]));
    complete_gradients(*model);
    inventory = model->inventory();
    make_ready(inventory, compute);
    fill(one, 1);
    fill(share, kShare);
    for (Parameter* parameter : inventory.parameters) parameter->begin_step(2);
  }

  Tensor run(size_t first, size_t last, Tensor hidden, Pass& pass) {
    for (size_t i = first; i < last; ++i) hidden = model->blocks[i]->forward(hidden, pass);
    return hidden;
  }
  Tensor first_stage(Pass& pass) { return run(0, kFirstOfLast, {}, pass); }
  Tensor last_stage(const Tensor& hidden, Pass& pass) { return run(kFirstOfLast, model->blocks.size(), hidden, pass); }

  NamedTensors gradients() {
    for (Parameter* parameter : inventory.parameters) parameter->finish_step();
    NamedTensors named;
    put_gradients(inventory, named);
    return named;
  }

  std::unique_ptr<Model> model;
  Inventory inventory;
  LossPass passes[2] = {
      {random_tokens(kTokens, kVocabulary, 1), {0, 5, kTokens}, random_tokens(kTokens, kVocabulary, 2)},
      {random_tokens(kTokens, kVocabulary, 3), {0, kTokens}, random_tokens(kTokens, kVocabulary, 4)}};
  Tensor one = zeros({1}), share = zeros({1});
};

Tensor squares_of(const Tensor& hidden) { return sum_all(multiply(hidden, hidden)); }

/// What one micro-batch has between its forward and its backward.
struct InFlight {
  Tape first, last;
  Tensor hidden, squares, received, loss;
  Catcher catcher;

  void send(Staged& staged, Pass& pass) {
    Recording recording(&first);
    hidden = staged.first_stage(pass);
    squares = squares_of(hidden);
  }
  void finish(Staged& staged, Pass& pass) {
    Recording recording(&last);
    received = hidden.detached();
    received.make_leaf(&catcher);
    loss = staged.last_stage(received, pass);
  }
  void differentiate(Staged& staged) {
    last.backward(loss, staged.one);
    std::vector<std::pair<Tensor, Tensor>> seeds = {{hidden, catcher.take()}, {squares, staged.share}};
    first.backward(seeds);
  }
};

/// Micro-batch after micro-batch, each on one tape from end to end.
NamedTensors one_after_another(Staged& staged) {
  for (LossPass& pass : staged.passes) {
    Tape tape;
    Tensor loss;
    {
      Recording recording(&tape);
      Tensor hidden = staged.first_stage(pass);
      Tensor squares = scale(squares_of(hidden), kShare);
      loss = add(staged.last_stage(hidden, pass), squares);
    }
    tape.backward(loss, staged.one);
  }
  return staged.gradients();
}

/// The second micro-batch is recorded up to its middle when the first runs backward.
NamedTensors in_flight(Staged& staged) {
  InFlight one, two;
  one.send(staged, staged.passes[0]);
  two.send(staged, staged.passes[1]);
  one.finish(staged, staged.passes[0]);
  {
    Recording recording(&two.last);
    two.received = two.hidden.detached();
    two.received.make_leaf(&two.catcher);
    Tensor middle = staged.run(kFirstOfLast, kFirstOfLast + 1, two.received, staged.passes[1]);
    one.differentiate(staged);
    EXPECT_TRUE(one.first.empty() && one.last.empty());
    EXPECT_FALSE(two.first.empty() || two.last.empty());
    two.loss = staged.run(kFirstOfLast + 1, staged.model->blocks.size(), middle, staged.passes[1]);
  }
  two.differentiate(staged);
  return staged.gradients();
}

TEST(LiveTapes, GiveTheGradientsOfOneTapeAfterAnother) {
  for (const char* model_type : {"gpt2", "llama"})
    for (Wrap wrap : {as_it_is, checkpointed, recomputed}) {
      Runtime runtime({}, 256 << 20);
      Staged plain(model_type, as_it_is, DType::f32), staged(model_type, wrap, DType::f32);
      // The gradients that meet between the stages are added in another order.
      expect_near(in_flight(staged), one_after_another(plain), 1e-5);
    }
}

TEST(LiveTapes, GiveTheSameBitsHoweverActivationsAreKept) {
  for (DType compute : {DType::f32, DType::bf16}) {
    Runtime runtime({}, 256 << 20);
    Staged plain("llama", as_it_is, compute), again("llama", checkpointed, compute), some("llama", recomputed, compute);
    NamedTensors expected = in_flight(plain);
    EXPECT_EQ(in_flight(again), expected);
    EXPECT_EQ(in_flight(some), expected);
  }
}

TEST(LiveTapes, NeedEverySeed) {
  Runtime runtime({}, 256 << 20);
  Staged whole("gpt2", as_it_is, DType::f32), without("gpt2", as_it_is, DType::f32);
  fill(without.share, 0);
  NamedTensors all = in_flight(whole), one = in_flight(without);
  EXPECT_NE(all.at("transformer.h.0.mlp.c_proj.weight"), one.at("transformer.h.0.mlp.c_proj.weight"));
  EXPECT_EQ(all.at("transformer.h.2.mlp.c_proj.weight"), one.at("transformer.h.2.mlp.c_proj.weight"));
}

TEST(LiveTapes, RunOnTheBytesOfTheirMetaRun) {
  for (Wrap wrap : {as_it_is, checkpointed, recomputed})
    expect_meta_equals_cpu([wrap] {
      Staged staged("llama", wrap, DType::bf16);
      InFlight one, two;
      one.send(staged, staged.passes[0]);
      two.send(staged, staged.passes[1]);
      one.finish(staged, staged.passes[0]);
      two.finish(staged, staged.passes[1]);
      one.differentiate(staged);
      two.differentiate(staged);
    });
}

}  // namespace
}  // namespace lathe
