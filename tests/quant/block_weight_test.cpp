#include "lathe/quant/block_weight.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lathe/models/family.h"
#include "lathe/nn/prepare.h"
#include "lathe/ops/matmul.h"
#include "lathe/tensor/rehearse.h"
#include "lathe/tensor/sum.h"
#include "tests/quant/block_support.h"
#include "tests/support/error_of.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

class BlockWeights : public testing::TestWithParam<const char*> {
 protected:
  const BlockFormat* format_ = find_block_format(GetParam());
  Runtime runtime_{{}, 1 << 26};
  BlockWeight weight_{kIn, {{format_, {whole_matrix("w", 70, kIn)}}}};

  void SetUp() override {
    weight_.materialize(DType::f32);
    Inventory inventory;
    weight_.list(inventory);
    fill(inventory, {format_});
  }
};

TEST_P(BlockWeights, MultiplyAsTheirNumbersWouldButForRoundedRows) {
  for (int64_t rows : {1, 3, 40}) {
    Tensor x = noise({rows, kIn}, DType::f32, 9);
    EXPECT_LT(difference(weight_.multiply(x, {}), matmul(x, weight_.dequantize())), 15e-3) << rows;
  }
}

TEST_P(BlockWeights, AreTheSameNumbersOncePrepared) {
  Tensor before = weight_.dequantize();
  weight_.prepare();
  const float rounded = format_->numbers ? 2 * 0x1p-15f : 0;  // of f16 blocks below 2, whose codes have 15 bits
  std::vector<float> rows = values_of(weight_.rows(tensor_of({69, 0, 33, 33})));
  int64_t at = 0;
  for (int64_t r : {69, 0, 33, 33})
    for (float expected : values_of(before.rows(r, 1))) ASSERT_NEAR(rows[size_t(at++)], expected, rounded) << r;
  std::vector<float> all = values_of(weight_.dequantize()), expected = values_of(before);
  for (size_t i = 0; i < all.size(); ++i) ASSERT_NEAR(all[i], expected[i], rounded) << i;
}

TEST_P(BlockWeights, GiveARowTheSameBitsAmongOthers) {
  weight_.prepare();
  Tensor x = noise({40, kIn}, DType::bf16, 9), all = weight_.multiply(x, {});
  for (int64_t count : {1, 2, 3, 4, 5, 9})
    EXPECT_EQ(values_of(weight_.multiply(x.rows(7, count), {})), values_of(all.rows(7, count))) << count;
}

INSTANTIATE_TEST_SUITE_P(All, BlockWeights,
                         testing::Values("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q8_K", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
                                         "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4", "F16"));

const BlockFormat* q4_0() { return find_block_format("Q4_0"); }
const BlockFormat* q6_k() { return find_block_format("Q6_K"); }

TEST(BlockWeight, HoldsRowsOfSeveralFormats) {
  Runtime runtime({}, 1 << 24);
  BlockWeight weight(
      kIn, {{q4_0(), {whole_matrix("q", 40, kIn), whole_matrix("k", 8, kIn)}}, {q6_k(), {whole_matrix("v", 8, kIn)}}});
  weight.materialize(DType::bf16);
  Inventory inventory;
  weight.list(inventory);
  ASSERT_EQ(inventory.stored.size(), 2u);
  EXPECT_EQ(inventory.stored[0]->kept.shape(), (Shape{48, kIn / 32 * 18}));
  EXPECT_EQ(inventory.stored[1]->kept.shape(), (Shape{8, kIn / 256 * 210}));
  EXPECT_EQ(weight.granule(1), 256);
  fill(inventory, {q4_0(), q6_k()});
  Tensor x = noise({3, kIn}, DType::f32, 1), bias = noise({56}, DType::f32, 2),
         residual = noise({3, 56}, DType::f32, 3);
  Tensor whole = matmul(x, converted(weight.dequantize(), DType::f32), {&bias, &residual});
  weight.prepare();
  EXPECT_LT(difference(weight.multiply(x, {&bias, &residual}), whole), 8e-3);
}

TEST(BlockWeight, MakesWhatIsNoNumberVisible) {
  Runtime runtime({}, 1 << 24);
  BlockWeight weight(kIn, {{q4_0(), {whole_matrix("w", 33, kIn)}}});
  weight.materialize(DType::f32);
  Inventory inventory;
  weight.list(inventory);
  fill(inventory, {q4_0()});
  weight.prepare();
  Tensor x = noise({3, kIn}, DType::f32, 1);
  x.data<float>()[kIn + 5] = NAN;
  x.data<float>()[2 * kIn + 5] = INFINITY;
  std::vector<float> y = values_of(weight.multiply(x, {}));
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isfinite(y[i]), i < 33) << i;
}

TEST(BlockWeight, RefusesRowsThatDoNotFit) {
  Runtime runtime({}, 1 << 24);
  EXPECT_EQ(error_of([] {
              BlockWeight(48, {{q4_0(), {whole_matrix("w", 3, 48)}}});
            }),
            "Q4_0: a row of 48 elements is not whole blocks of 32");
}

ModelConfig config() {
  ModelConfig config = small_config("llama");
  config.hidden_size = 64;
  config.head_dim = 16;
  config.num_attention_heads = 4;
  config.intermediate_size = 96;
  return config;
}

/// Everything but `exception` in Q4_0.
int use_q4_0(Model& model, const std::string& exception = "") {
  return use_blocks(model, [&](const std::string& name) { return name == exception ? nullptr : q4_0(); });
}

TEST(UseBlocks, ReplacesTheWeightsWhoseTensorsComeInBlocks) {
  Runtime runtime(Device{}.as_meta(), Runtime::kUnbounded);
  auto all = make_model(config()), but_one = make_model(config());
  int64_t weights = int64_t(all->inventory().weights.size());
  EXPECT_EQ(use_q4_0(*all), weights);
  EXPECT_EQ(use_q4_0(*but_one, "model.layers.0.self_attn.k_proj.weight"), weights - 1);
  EXPECT_EQ(use_q4_0(*but_one), 1);
}

/// What the arena showed of a model in blocks: peak, and each kind.
MemoryUse use_on(Device device) {
  Runtime runtime(device, device.meta ? Runtime::kUnbounded : int64_t{1} << 26);
  auto model = make_model(config());
  use_q4_0(*model);
  prepare_for_use(*model, DType::bf16, [](const Inventory& some) {
    for (Stored* stored : some.stored)
      if (stored->kept.data<std::byte>()) std::memset(stored->kept.data<std::byte>(), 0, size_t(stored->kept.bytes()));
  });
  std::vector<int32_t> tokens(24, 5);
  WholePass pass(tokens, {0, 24});
  model->forward(pass);
  return runtime.arena.use();
}

TEST(UseBlocks, TakesThePlannedBytes) {
  MemoryUse planned = use_on(Device{}.as_meta()), taken = use_on({});
  EXPECT_EQ(planned.peak, taken.peak);
  EXPECT_EQ(planned.reserved, taken.reserved);
  EXPECT_EQ(planned.live_by_purpose, taken.live_by_purpose);
  EXPECT_EQ(planned.at_peak, taken.at_peak);
}

}  // namespace
}  // namespace lathe
