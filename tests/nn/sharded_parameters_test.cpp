#include <gtest/gtest.h>

#include <mutex>

#include "lathe/nn/completion.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "tests/support/ranks.h"
#include "tests/support/run_counts.h"
#include "tests/support/training_step.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

/// The parts of `slices` that rows [first, first + count) of their tensor are.
std::vector<Slice> rows_of(const std::vector<Slice>& slices, int64_t first, int64_t count) {
  std::vector<Slice> parts;
  int64_t row = 0;
  for (const Slice& slice : slices) {
    int64_t from = std::max(row, first), to = std::min(row + slice.rows, first + count);
    if (from < to) {
      parts.push_back(slice);
      parts.back().first_row += from - row;
      parts.back().rows = to - from;
    }
    row += slice.rows;
  }
  return parts;
}

void shard(Parameter& parameter, Communicator& ranks) {
  if (parameter.shard) return;  // tied
  Shape shape = parameter.value.shape();
  int64_t count = shape[0] / ranks.size();
  parameter.shard = &ranks;
  parameter.kept = Tensor::declare(shape.with_rows(count));
  parameter.slices = rows_of(parameter.slices, ranks.rank() * count, count);
}

/// ZeRO-3's form (Rajbhandari et al. 2020): each rank keeps whole rows, all of them exist while the block is at work.
class ShardedBlock : public BlockWrapper {
 public:
  ShardedBlock(std::unique_ptr<Block> inner, Communicator& ranks) : BlockWrapper(std::move(inner)) {
    Inventory inventory;
    inner_->list(inventory);
    parameters_ = inventory.parameters;
    for (Parameter* parameter : parameters_) shard(*parameter, ranks);
  }

  Tensor forward(const Tensor& hidden, Pass& pass) override {
    on_backward([this] { drop(); });
    gather();
    Tensor y = inner_->forward(hidden, pass);
    drop();
    on_backward([this] { gather(); });
    return y;
  }

 private:
  std::vector<Parameter*> parameters_;

  void gather() {
    PurposeScope scope(Purpose::weights);
    for (Parameter* parameter : parameters_) {
      Tensor whole = parameter->value.detached();
      whole.storage().restore();
      parameter->shard->all_gather(converted(parameter->kept, whole.dtype()), whole).wait();
    }
  }
  void drop() {
    for (Parameter* parameter : parameters_) parameter->value.storage().drop();
  }
};

constexpr int kRanks = 2;
constexpr int64_t kTokens = 12;

ModelConfig tied_config(const std::string& model_type) {
  ModelConfig config = small_config(model_type);
  config.tie_word_embeddings = true;
  return config;
}

enum class Layout { replicated, sharded };

/// A model on one of several data ranks, each with micro-batches of its own.
struct RankModel {
  RankModel(const std::string& model_type, Communicator& ranks, Layout layout, DType compute = DType::f32)
      : model(make_model(tied_config(model_type))) {
    if (layout == Layout::sharded)
      for (std::unique_ptr<Block>& block : model->blocks)
        block = std::make_unique<ShardedBlock>(std::move(block), ranks);
    complete_gradients(*model);
    inventory = model->inventory();
    if (layout == Layout::replicated)
      for (Parameter* parameter : inventory.parameters) parameter->sum_over.push_back(&ranks);
    make_ready(inventory, compute);
    for (uint64_t i = 0; i < 2; ++i) {
      uint64_t seed = 10 * uint64_t(ranks.rank()) + i;
      passes.push_back(std::make_unique<LossPass>(random_tokens(kTokens, 40, seed), std::vector<int32_t>{0, 7, kTokens},
                                                  random_tokens(kTokens, 40, seed + 5)));
    }
  }

  std::unique_ptr<Model> model;
  Inventory inventory;
  std::vector<std::unique_ptr<LossPass>> passes;
};

struct Outcome {
  std::vector<float> losses;
  NamedTensors kept, gradients;
};

Outcome trained(const std::string& model_type, Layout layout, DType compute, size_t micro_batches) {
  Outcome outcome;
  std::mutex mutex;
  on_ranks(kRanks, [&](Communicator& ranks) {
    RankModel setup(model_type, ranks, layout, compute);
    Updates updates(setup.inventory, 1e-2f);
    std::vector<Pass*> passes;
    for (size_t i = 0; i < micro_batches; ++i) passes.push_back(setup.passes[i].get());
    std::vector<float> losses;
    for (int step = 0; step < 3; ++step) {
      losses.push_back(run_step(*setup.model, setup.inventory, passes).value());
      if (micro_batches == 1) updates.update();
    }
    std::lock_guard lock(mutex);
    if (ranks.rank() == 0) outcome.losses = losses;
    put_kept(setup.inventory, outcome.kept);
    put_gradients(setup.inventory, outcome.gradients);
  });
  return outcome;
}

class ShardedParameters : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, ShardedParameters, testing::Values("gpt2", "llama"),
                         [](const auto& model) { return std::string(model.param); });

TEST_P(ShardedParameters, TrainWithTheSameBitsAsWholeOnes) {
  for (DType compute : {DType::f32, DType::bf16}) {
    Outcome whole = trained(GetParam(), Layout::replicated, compute, 1);
    Outcome sharded = trained(GetParam(), Layout::sharded, compute, 1);
    EXPECT_EQ(sharded.losses, whole.losses);
    EXPECT_EQ(sharded.kept, whole.kept);
    EXPECT_EQ(sharded.gradients, whole.gradients);
    EXPECT_LT(whole.losses[2], whole.losses[0]);
  }
}

TEST_P(ShardedParameters, SumTheirGradientsOverMicroBatches) {
  Outcome whole = trained(GetParam(), Layout::replicated, DType::f32, 2);
  Outcome sharded = trained(GetParam(), Layout::sharded, DType::f32, 2);
  expect_near(sharded.gradients, whole.gradients, 1e-6);  // ranks and micro-batches are summed in another order
}

TEST_P(ShardedParameters, AreScatteredOnceAStepWhereTied) {
  on_ranks(kRanks, [](Communicator& ranks) {
    RankModel setup(GetParam(), ranks, Layout::sharded);
    int64_t gathered = 0, scattered = 0;
    for (std::unique_ptr<Block>& block : setup.model->blocks) {
      Inventory inventory;
      block->list(inventory);
      for (Parameter* parameter : inventory.parameters) gathered += 2 * parameter->kept.bytes() * (kRanks - 1);
    }
    for (Parameter* parameter : setup.inventory.parameters) scattered += parameter->kept.bytes() * (kRanks - 1);
    int64_t before = Runtime::current().totals.bytes_communicated;
    run_step(*setup.model, setup.inventory, *setup.passes[0]);
    EXPECT_EQ(Runtime::current().totals.bytes_communicated - before, gathered + scattered);
  });
}

TEST_P(ShardedParameters, LeaveNothingWholeBehind) {
  on_ranks(kRanks, [](Communicator& ranks) {
    RankModel setup(GetParam(), ranks, Layout::sharded);
    BytesByPurpose before = Runtime::current().arena.use().live_by_purpose;
    for (int step = 0; step < 2; ++step) run_step(*setup.model, setup.inventory, *setup.passes[0]);
    for (Parameter* parameter : setup.inventory.parameters) parameter->end_step();
    EXPECT_EQ(Runtime::current().arena.use().live_by_purpose, before);
    for (Parameter* parameter : setup.inventory.parameters) EXPECT_FALSE(parameter->value.storage().present());
  });
}

TEST_P(ShardedParameters, RunOnTheBytesOfTheirMetaRun) {
  auto counts_of_step = [](Communicator& ranks) {
    RankModel setup(GetParam(), ranks, Layout::sharded, DType::bf16);
    std::vector<Pass*> passes = {setup.passes[0].get(), setup.passes[1].get()};
    run_step(*setup.model, setup.inventory, passes);
    return counts_so_far();
  };
  on_ranks(kRanks, [&](Communicator& ranks) {
    Runtime cpu({}, 256 << 20);
    RunCounts real = counts_of_step(ranks);
    Runtime meta(Device{}.as_meta(), 256 << 20);
    EXPECT_EQ(counts_of_step(*make_counting_communicator(ranks.rank(), kRanks)), real);
  });
}

TEST_P(ShardedParameters, BeginAsWholeOnesDo) {
  NamedTensors whole, sharded;
  std::mutex mutex;
  on_ranks(kRanks, [&](Communicator& ranks) {
    RankModel one(GetParam(), ranks, Layout::replicated), other(GetParam(), ranks, Layout::sharded);
    std::lock_guard lock(mutex);
    put_kept(one.inventory, whole);
    put_kept(other.inventory, sharded);
  });
  EXPECT_EQ(sharded, whole);
}

}  // namespace
}  // namespace lathe
