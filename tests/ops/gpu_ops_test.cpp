// What check_op() does on a GPU, and the sizes that only its kernels are fast enough for: packs of 16 bytes, rows of
// warps and of blocks, rows too long or too odd for registers, more rows than a grid has blocks.
#include "lathe/ops/activation.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/embedding.h"
#include "lathe/ops/layer_norm.h"
#include "lathe/ops/likeliest.h"
#include "lathe/ops/rms_norm.h"
#include "lathe/ops/rotary.h"
#include "tests/ops/attention_support.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

using Inputs = std::span<const Tensor>;
using GpuOps = GpuTest;

constexpr Device kGpu{Backend::cuda};

TEST_F(GpuOps, AreHeldAgainstTheCpuByEveryCheckOfAnOp) {
  bool compared = false;
  auto op = [&](Inputs x) {
    compared |= x[0].device() == Device{Backend::cuda};
    return add(x[0], x[1]);
  };
  check_op("add", {{{5, 19}}, {{5, 19}}}, op);
  EXPECT_TRUE(compared);
}

TEST_F(GpuOps, ElementwiseAtTheSizesOfModels) {
  const std::vector<OpInput> pair = {{{1200, 2304}}, {{1200, 2304}}}, with_bias = {{{1200, 2304}}, f32_input({2304})};
  check_op(
      "activate", {pair[0]}, [](Inputs x) { return activate(x[0], Activation::gelu_tanh); }, kGpuOnly);
  check_op(
      "gated_activate", {pair[0]}, [](Inputs x) { return gated_activate(x[0], Activation::silu); }, kGpuOnly);
  check_op(
      "multiply", pair, [](Inputs x) { return multiply(x[0], x[1]); }, kGpuOnly);
  check_op(
      "add_bias", with_bias, [](Inputs x) { return add_bias(x[0], x[1]); }, kGpuOnly);
  check_op(
      "columns", {pair[0]}, [](Inputs x) { return columns(x[0], 768, 1536); }, kGpuOnly);
  check_op(
      "concatenate_columns", pair, [](Inputs x) { return concatenate_columns(x); }, kGpuOnly);
  check_op(
      "add_columns", {pair[0], {{1200, 768}}}, [](Inputs x) { return add_columns(x[0], x[1], 768); }, kGpuOnly);
  check_op(
      "sum_all", {{.shape = {1200, 2304}, .low = 0}}, [](Inputs x) { return sum_all(x[0]); }, kGpuOnly);
}

TEST_F(GpuOps, NormsOfEveryWayToShareRows) {
  auto rms = [](Inputs x) { return rms_norm(x[0], x[1], 1e-5f); };
  auto layer = [](Inputs x) { return layer_norm(x[0], x[1], x[2], 1e-5f); };
  auto layer_without_bias = [](Inputs x) { return layer_norm(x[0], x[1], Tensor(), 1e-5f); };
  for (Shape shape : {Shape{3000, 128}, {700, 576}, {2500, 768}, {300, 2048}, {100, 5120}, {40, 20000}, {30, 1537}}) {
    std::vector<OpInput> inputs = {{shape}, f32_input({shape[1]}), f32_input({shape[1]})};
    check_op(text("rms_norm ", shape), {inputs[0], inputs[1]}, rms, kGpuOnly);
    check_op(text("layer_norm ", shape), inputs, layer, kGpuOnly);
    check_op(text("layer_norm without bias ", shape), {inputs[0], inputs[1]}, layer_without_bias, kGpuOnly);
  }
}

TEST_F(GpuOps, NormsOfFewRowsHaveTheBitsOfMany) {
  Runtime runtime(kGpu, 1 << 26);
  for (int64_t columns : {128, 576, 768, 1024, 2048}) {
    Tensor x = normal_numbers({600, columns}, 1, DType::bf16), weight = normal_numbers({columns}, 2);
    std::vector<float> all = values_of(rms_norm(x, weight, 1e-5f)),
                       first = values_of(rms_norm(x.rows(0, 5), weight, 1e-5f));
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << columns;
    all = values_of(layer_norm(x, weight, weight, 1e-5f)),
    first = values_of(layer_norm(x.rows(0, 5), weight, weight, 1e-5f));
    EXPECT_TRUE(std::equal(first.begin(), first.end(), all.begin())) << columns;
  }
}

TEST_F(GpuOps, LikeliestIsWhatTheCpuTakes) {
  for (DType dtype : {DType::f32, DType::bf16})
    for (int64_t columns : {50257, 32000, 7}) {
      auto run = [&](Device device) {
        Runtime runtime(device, 1 << 26);
        Tensor logits = normal_numbers({9, columns + 5}, 3, dtype), ids = Tensor::empty({9}, DType::i32);
        likeliest(logits, columns, ids);
        return values_of(ids);
      };
      EXPECT_EQ(run({}), run(kGpu)) << columns;
    }
}

std::vector<int32_t> ids_of(int32_t count, int32_t vocabulary, int32_t frequent) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < count; ++i) ids.push_back(i % 3 == 0 ? frequent : (i * 7919 + i / 5) % vocabulary);
  return ids;
}

TEST_F(GpuOps, RowsOfManyIdsAndOfOne) {
  auto op = [](Inputs x) { return embedding(x[1], x[0]); };
  check_op("embedding", {{{50257, 64}}, ids_input(ids_of(5000, 50257, 50256))}, op, kGpuOnly);
  check_op("embedding of one id", {{{300, 768}}, ids_input(std::vector<int32_t>(1000, 7))}, op, kGpuOnly);
  check_op("embedding of 64 ids twice", {{{64, 768}}, ids_input(ids_of(128, 64, 0))}, op, kGpuOnly);
  check_op("embedding of long rows", {{{300, 2048}}, ids_input(ids_of(700, 300, 299))}, op, kGpuOnly);
  auto sum = [](Inputs x) { return embedding_sum(x[2], x[0], x[3], x[1]); };
  std::vector<OpInput> tables = {{{1000, 768}}, {{128, 768}}};
  check_op("embedding_sum", {tables[0], tables[1], ids_input(ids_of(999, 1000, 3)), ids_input(ids_of(999, 128, 5))},
           sum, kGpuOnly);
  auto gather = [](Inputs x) { return gather_rows(x[0], x[1]); };
  std::vector<int32_t> few;  // sums of bf16 rows are rounded each time on the cpu
  for (int32_t i = 0; i < 600; ++i) few.push_back((i * 37) % 199);
  check_op("gather_rows", {{{199, 768}}, ids_input(few)}, gather, kGpuOnly);
}

TEST_F(GpuOps, RotaryOfGroupedQueriesInPacks) {
  std::vector<int32_t> positions = ids_of(500, 4096, 100000);
  for (bool interleaved : {false, true})
    for (int64_t dims : {128, 96, 20}) {
      auto op = [=](Inputs x) { return rotary(x[0], x[1], 9, {.dims = dims, .interleaved = interleaved}); };
      check_op(text("rotary ", dims), {{{500, 12, 128}}, ids_input(positions)}, op, kGpuOnly);
      auto in_place = [=](Inputs x) {
        return rotary(scale(x[0], 1.5f), x[1], 9, {.dims = dims, .interleaved = interleaved});
      };
      check_op(text("rotary in place ", dims), {{{500, 12, 128}}, ids_input(positions)}, in_place, kGpuOnly);
    }
}

}  // namespace
}  // namespace lathe
