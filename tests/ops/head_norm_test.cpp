#include "lathe/ops/head_norm.h"

#include <gtest/gtest.h>

#include "lathe/ops/elementwise.h"
#include "lathe/ops/rms_norm.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

using Inputs = std::span<const Tensor>;

HeadNorms norms_of(Inputs x, float offset = 0) {
  return {.q_weight = x[1], .k_weight = x[2], .heads = 4, .kv_heads = 2, .eps = 1e-5f, .weight_offset = offset};
}

std::vector<OpInput> inputs(int64_t tokens, int64_t dim) {
  return {{{tokens, 8, dim}}, f32_input({dim}), f32_input({dim})};
}

TEST(HeadNorm, KeepsThePromisesOfAnOp) {
  for (float offset : {0.0f, 1.0f})
    check_op("head_norm", inputs(5, 19), [offset](Inputs x) { return head_norm(x[0], norms_of(x, offset)); });
  check_op(
      "head_norm", inputs(301, 64), [](Inputs x) { return head_norm(x[0], norms_of(x)); }, kParallel);
}

TEST(HeadNorm, IsTheNormOfEachHeadAndLeavesValues) {
  Runtime runtime({}, 1 << 20);
  std::vector<Tensor> x = make_inputs(inputs(3, 16), DType::f32);
  Tensor held = x[0];  // so that it is not overwritten
  std::vector<float> normed = values_of(head_norm(x[0], norms_of(x))), plain = values_of(x[0]);
  for (int64_t row = 0; row < 24; ++row) {
    Tensor one = reshape(x[0], {24, 16}).rows(row, 1);
    int64_t head = row % 8;
    std::vector<float> wanted = head < 6 ? values_of(rms_norm(one, head < 4 ? x[1] : x[2], 1e-5f)) : values_of(one);
    for (int64_t c = 0; c < 16; ++c) EXPECT_FLOAT_EQ(normed[size_t(row * 16 + c)], wanted[size_t(c)]) << row;
  }
}

TEST(HeadNorm, RejectsWhatDoesNotFit) {
  Runtime runtime({}, 1 << 20);
  std::vector<Tensor> x = make_inputs(inputs(3, 16), DType::f32);
  HeadNorms norms = norms_of(x);
  norms.heads = 5;
  EXPECT_THROW(head_norm(x[0], norms), Error);
  norms = norms_of(x);
  norms.q_weight = Tensor::empty({8});
  EXPECT_THROW(head_norm(x[0], norms), Error);
}

}  // namespace
}  // namespace lathe
