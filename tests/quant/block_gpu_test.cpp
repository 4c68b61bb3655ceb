// Blocks on a GPU: in records, as they are for few rows and dequantized for many.
#include <gtest/gtest.h>

#include <cmath>

#include "lathe/ops/matmul.h"
#include "lathe/quant/block_records.h"
#include "lathe/tensor/accelerator.h"
#include "tests/quant/block_support.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

class GpuBlocks : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  }
};

struct Multiplied {
  std::vector<float> few, many, rows, all;
};

/// Of a prepared weight; of its numbers in f32 where `prepared` is not wanted.
Multiplied multiply(const BlockFormat& format, Device device, bool prepared, int64_t few) {
  Runtime runtime(device, 1 << 26);
  BlockWeight weight(kIn, {{&format, {whole_matrix("w", 70, kIn)}}, {&format, {whole_matrix("v", 2999, kIn)}}});
  weight.materialize(DType::bf16);
  Inventory inventory;
  weight.list(inventory);
  fill(inventory, {&format, &format});
  Tensor x = noise({few, kIn}, DType::bf16, 9), many = noise({50, kIn}, DType::bf16, 8),
         bias = noise({3069}, DType::f32, 2), residual = noise({few, 3069}, DType::bf16, 3);
  Tensor numbers = prepared ? Tensor() : weight.dequantize();
  auto times = [&](const Tensor& narrow, const Epilogue& epilogue) {
    return values_of(prepared ? weight.multiply(narrow, epilogue) : matmul(narrow, numbers, epilogue));
  };
  if (prepared) weight.prepare();
  return {times(x, {&bias, &residual}), times(many, {}), values_of(weight.rows(tensor_of({69, 0, 3068, 70}))),
          values_of(weight.dequantize())};
}

float apart(const std::vector<float>& a, const std::vector<float>& b) {
  float most = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

TEST_P(GpuBlocks, MultiplyAsTheirNumbers) {
  const BlockFormat& format = *find_block_format(GetParam());
  for (int64_t few : {1, 9, 20}) {
    Multiplied expected = multiply(format, {}, false, few), actual = multiply(format, {Backend::cuda}, true, few);
    EXPECT_LT(difference(actual.few, expected.few), 6e-3) << few;
    EXPECT_LT(difference(actual.many, expected.many), 6e-3);
    EXPECT_LT(apart(actual.rows, expected.rows), 2e-2);  // of numbers below 4; some of Q8_K are too small for f16
    EXPECT_LT(apart(actual.all, expected.all), 2e-2);
  }
}

/// The first row of x, multiplied with `rows` - 1 others.
std::vector<float> first_row(const BlockWeight& weight, int64_t rows, int64_t in) {
  Tensor x = noise({rows, in}, DType::bf16, 9);
  std::vector<float> all = values_of(weight.multiply(x, {}));
  all.resize(all.size() / size_t(rows));
  return all;
}

/// Through shared memory and through workspace, tiles of 8 to 32 rows; whole pieces of depth and parts of them.
TEST_P(GpuBlocks, GiveARowTheSameBitsInAnyCompany) {
  const BlockFormat& format = *find_block_format(GetParam());
  for (int64_t in : {int64_t{2048}, int64_t{5632}, format.elements * 7}) {
    Runtime runtime({Backend::cuda}, 1 << 28);
    BlockWeight weight(in, {{&format, {whole_matrix("w", 70, in)}}, {&format, {whole_matrix("v", 2120, in)}}});
    weight.materialize(DType::bf16);
    Inventory inventory;
    weight.list(inventory);
    fill(inventory, {&format, &format});
    weight.prepare();
    std::vector<float> alone = first_row(weight, 1, in);
    for (int64_t rows : {2, 5, 8, 9, 17, 32})
      EXPECT_EQ(first_row(weight, rows, in), alone) << rows << " rows of " << in;
  }
}

/// Of one part, as gates take, and of two.
TEST_P(GpuBlocks, NormalizeARowAndGateProductsToTheBit) {
  const BlockFormat& format = *find_block_format(GetParam());
  for (int64_t in : {int64_t{2048}, format.elements * 3}) {
    Runtime runtime({Backend::cuda}, 1 << 28);
    BlockWeight one(in, {{&format, {whole_matrix("w", 9024, in)}}}),
        two(in, {{&format, {whole_matrix("w", 70, in)}}, {&format, {whole_matrix("v", 2120, in)}}});
    for (BlockWeight* weight : {&one, &two}) {
      weight->materialize(DType::bf16);
      Inventory inventory;
      weight->list(inventory);
      fill(inventory, weight == &one ? std::vector{&format} : std::vector{&format, &format});
      weight->prepare();
    }
    Tensor x = noise({1, in}, DType::bf16, 9), bias = noise({9024}, DType::f32, 2);
    InputNorm norm{noise({in}, DType::f32, 3), 1e-5f, 0};
    Tensor normed = normalized(x, norm);
    EXPECT_EQ(values_of(one.multiply_normed(x, norm, {&bias, Activation::silu})),
              values_of(gated_activate(one.multiply(normed, {.bias = &bias}), Activation::silu)));
    EXPECT_EQ(values_of(two.multiply_normed(x, norm, {})), values_of(two.multiply(normed, {})));
  }
}

/// Few rows are multiplied by the blocks themselves.
TEST(GpuBlockSlabs, MultiplyAsTheBlocksDo) {
  if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  constexpr int64_t kRows = 14000, kDepth = 4096;
  Runtime runtime({Backend::cuda}, 1 << 28);
  const BlockFormat& format = *find_block_format("Q8_0");
  BlockWeight weight(
      kDepth, {{&format, {whole_matrix("w", 100, kDepth)}}, {&format, {whole_matrix("v", kRows - 100, kDepth)}}});
  weight.materialize(DType::bf16);
  Inventory inventory;
  weight.list(inventory);
  fill(inventory, {&format, &format});
  weight.prepare();
  Tensor x = noise({40, kDepth}, DType::bf16, 9), bias = noise({kRows}, DType::f32, 2),
         residual = noise({40, kRows}, DType::bf16, 3), few = residual.rows(0, 32);
  std::vector<float> expected = values_of(weight.multiply(x.rows(0, 32), {&bias, &few}));
  std::vector<float> actual = values_of(weight.multiply(x, {&bias, &residual}));
  actual.resize(expected.size());
  EXPECT_LT(difference(actual, expected), 6e-3);
}

INSTANTIATE_TEST_SUITE_P(All, GpuBlocks,
                         testing::Values("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q8_K", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
                                         "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"));

TEST(BlockRecords, TakeNoMoreThanFilesButForK) {
  for (const char* name : {"Q4_0", "Q4_1", "Q8_0", "IQ4_NL"}) {
    const BlockFormat& format = *find_block_format(name);
    EXPECT_EQ(BlockRecords(format).bytes_of({64, 512}), 64 * bytes_of_row(format, 512)) << name;
  }
}

}  // namespace
}  // namespace lathe
