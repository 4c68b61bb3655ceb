#include <gtest/gtest.h>

#include <mutex>

#include "lathe/nn/completion.h"
#include "lathe/nn/linear.h"
#include "lathe/ops/elementwise.h"
#include "tests/support/ranks.h"
#include "tests/support/run_counts.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

/// y += x aT bT: LoRA's form (Hu et al. 2021), for a Linear split in any way. Of a and b, one is divided as the Linear
/// is; the other is on all ranks, each of which sees but a part of its gradient.
class LowRank : public Adapter {
 public:
  static constexpr int64_t kRank = 2;

  LowRank(const Linear& linear, size_t section)
      : a_({kRank, linear.in()}, {slice_of_a(linear, section)}, Init::normal(0.3f)),
        b_({linear.sections()[section].out, kRank}, {slice_of_b(linear, section)}, Init::normal(0.3f)) {
    if (!linear.ranks()) return;
    (linear.split() == Split::out ? a_ : b_).sum_over.push_back(linear.ranks());
  }

  Tensor apply(const Tensor& x, Tensor y, int64_t first, Pass&) const override {
    return add_columns(std::move(y), matmul(matmul(x, a_.value), b_.value), first);
  }
  void list(Inventory& inventory) override {
    inventory.add(a_);
    inventory.add(b_);
  }

 private:
  Parameter a_, b_;

  static Slice slice_of_a(const Linear& linear, size_t section) {
    bool split = linear.ranks() && linear.split() == Split::in;
    int64_t ranks = split ? linear.ranks()->size() : 1, rank = split ? linear.ranks()->rank() : 0;
    Slice slice = whole_matrix(linear.sections()[section].name + ".a", kRank, linear.in() * ranks);
    slice.first_column = rank * linear.in();
    slice.columns = linear.in();
    return slice;
  }
  static Slice slice_of_b(const Linear& linear, size_t section) {
    bool split = linear.ranks() && linear.split() == Split::out;
    int64_t ranks = split ? linear.ranks()->size() : 1, rank = split ? linear.ranks()->rank() : 0;
    int64_t out = linear.sections()[section].out;
    Slice slice = whole_matrix(linear.sections()[section].name + ".b", out * ranks, kRank);
    slice.first_row = rank * out;
    slice.rows = out;
    return slice;
  }
};

ModelConfig small_config(bool biases) {
  ModelConfig config;
  config.vocab_size = 40;
  config.hidden_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.intermediate_size = 48;
  config.max_position_embeddings = 16;
  config.attention_bias = config.mlp_bias = biases;
  return config;
}

constexpr int64_t kTokens = 13;

/// A llama, divided over `ranks`, with its pass.
struct RankModel {
  explicit RankModel(Communicator& ranks, bool biases = false)
      : mesh(tensor_mesh(ranks)),
        model(make_model(small_config(biases), mesh)),
        pass(random_tokens(kTokens, 40, 1), {0, 6, kTokens}, random_tokens(kTokens, 40, 2)) {}

  void attach_adapters() {
    for (Linear* linear : model->inventory().linears)
      for (size_t section = 0; section < linear->sections().size(); ++section)
        linear->inner.push_back({section, std::make_unique<LowRank>(*linear, section)});
  }
  void finish() {
    complete_gradients(*model);
    inventory = model->inventory();
    make_ready(inventory);
  }

  Mesh mesh;
  std::unique_ptr<Model> model;
  LossPass pass;
  Inventory inventory;
};

/// Gradients of one step, put together from all ranks.
NamedTensors gradients_over(int size, bool biases, bool adapters) {
  NamedTensors named;
  std::mutex mutex;
  on_ranks(size, [&](Communicator& ranks) {
    RankModel setup(ranks, biases);
    if (adapters) setup.attach_adapters();
    setup.finish();
    run_step(*setup.model, setup.inventory, setup.pass);
    std::lock_guard lock(mutex);
    put_gradients(setup.inventory, named);
  });
  return named;
}

// Sums over ranks are taken in another order than within one product: a few units in the last place of f32.
constexpr double kReordered = 2e-5;

TEST(TensorSplit, GivesTheGradientsOfTheUndividedModel) {
  expect_near(gradients_over(2, true, false), gradients_over(1, true, false), kReordered);
}

TEST(TensorSplit, GivesAdaptersTheGradientsOfTheUndividedModel) {
  expect_near(gradients_over(2, false, true), gradients_over(1, false, true), kReordered);
}

/// Trains adapters alone for some steps: what each rank keeps of them, and its losses.
struct Trained {
  std::vector<NamedTensors> kept;
  std::vector<std::vector<float>> losses;
};

Trained trained_adapters(int size) {
  Trained trained{std::vector<NamedTensors>(static_cast<size_t>(size)),
                  std::vector<std::vector<float>>(static_cast<size_t>(size))};
  on_ranks(size, [&](Communicator& ranks) {
    RankModel setup(ranks);
    for (Parameter* parameter : setup.model->inventory().parameters) parameter->freeze();
    setup.attach_adapters();
    setup.finish();
    Updates updates(setup.inventory, 1e-2f);
    for (int step = 0; step < 6; ++step) {
      trained.losses[size_t(ranks.rank())].push_back(*run_step(*setup.model, setup.inventory, setup.pass));
      updates.update();
    }
    for (const Parameter* parameter : setup.inventory.parameters)
      if (parameter->trained()) put(parameter->slices, parameter->kept, trained.kept[size_t(ranks.rank())]);
  });
  return trained;
}

TEST(TensorSplit, KeepsReplicatedAdaptersEqualOnAllRanks) {
  Trained two = trained_adapters(2), one = trained_adapters(1);
  EXPECT_EQ(two.losses[0], two.losses[1]);
  EXPECT_NEAR(two.losses[0].back(), one.losses[0].back(), 1e-3 * one.losses[0].back());
  EXPECT_LT(one.losses[0].back(), one.losses[0].front());
  int replicated = 0;
  for (const auto& [name, values] : two.kept[0]) {
    bool divided = std::find(values.begin(), values.end(), 0.0f) != values.end();  // the other rank's places
    if (divided) continue;
    EXPECT_EQ(values, two.kept[1].at(name)) << name;
    ++replicated;
  }
  EXPECT_EQ(replicated, 2 * 7 + 2);  // half of each adapter in a layer, and both halves at the head
}

TEST(TensorSplit, ReducesOnceForAllSectionsOfAProjection) {
  on_ranks(2, [](Communicator& ranks) {
    RankModel setup(ranks);
    setup.finish();
    int64_t before = Runtime::current().totals.bytes_communicated;
    run_step(*setup.model, setup.inventory, setup.pass);
    int64_t all_reduce = kTokens * 32 * int64_t(sizeof(float));  // of one hidden state: 2 (n - 1) / n times its bytes
    EXPECT_EQ(Runtime::current().totals.bytes_communicated - before, 2 * 4 * all_reduce);
  });
}

RunCounts counts_of_step(Communicator& ranks) {
  RankModel setup(ranks, true);
  setup.attach_adapters();
  setup.finish();
  run_step(*setup.model, setup.inventory, setup.pass);
  return counts_so_far();
}

TEST(TensorSplit, RunsOnTheBytesOfItsMetaRun) {
  on_ranks(2, [](Communicator& ranks) {
    Runtime cpu({}, 256 << 20);
    RunCounts real = counts_of_step(ranks);
    Runtime meta(Device{}.as_meta(), 256 << 20);
    EXPECT_EQ(counts_of_step(*make_counting_communicator(ranks.rank(), 2)), real);
  });
}

TEST(TensorSplit, BeginsWithTheSameModelOnAnyNumberOfRanks) {
  std::vector<NamedTensors> layouts;
  for (int size : {1, 2}) {
    NamedTensors named;
    std::mutex mutex;
    on_ranks(size, [&](Communicator& ranks) {
      RankModel setup(ranks, true);
      setup.attach_adapters();
      setup.finish();
      std::lock_guard lock(mutex);
      put_kept(setup.inventory, named);
    });
    layouts.push_back(std::move(named));
  }
  EXPECT_EQ(layouts[0], layouts[1]);
}

TEST(TensorSplit, RefusesHeadsThatDoNotDivide) {
  Runtime runtime(Device{}.as_meta(), Runtime::kUnbounded);
  auto three = make_counting_communicator(0, 3);
  Mesh mesh = tensor_mesh(*three);
  EXPECT_THROW(make_model(small_config(false), mesh), Error);
}

TEST(Adapters, AreLeftOutWhereThePassSaysSo) {
  class Reference : public LossPass {
   public:
    using LossPass::LossPass;
    const AdapterChoice& adapters() const override {
      static const AdapterChoice none{false, nullptr};
      return none;
    }
  };
  on_ranks(1, [](Communicator& ranks) {
    RankModel plain(ranks), adapted(ranks);
    plain.finish();
    adapted.attach_adapters();
    adapted.finish();
    Reference reference(random_tokens(kTokens, 40, 1), {0, 6, kTokens}, random_tokens(kTokens, 40, 2));
    float without = *run_step(*plain.model, plain.inventory, plain.pass);
    EXPECT_NE(*run_step(*adapted.model, adapted.inventory, adapted.pass), without);
    EXPECT_EQ(*run_step(*adapted.model, adapted.inventory, reference), without);
  });
}

}  // namespace
}  // namespace lathe
