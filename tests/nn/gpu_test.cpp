#include <cmath>

#include "lathe/nn/loss.h"
#include "lathe/nn/normal.h"
#include "lathe/ops/matmul.h"
#include "lathe/tensor/tape.h"
#include "tests/support/gpu.h"

namespace lathe {
namespace {

using GpuNormalRows = GpuTest;
using GpuTotalLoss = GpuTest;
using GpuChunkedCrossEntropy = GpuTest;

std::vector<float> drawn(Device device, Slice slice) {
  Runtime runtime(device, 1 << 24);
  Tensor rows = Tensor::empty({slice.rows, slice.columns});
  normal_kernel({}, Random(7).fork("a"), 0.5f, slice, rows);
  return fetched(rows);
}

TEST_F(GpuNormalRows, AreThoseOfTheCpu) {
  Slice whole = whole_matrix("a", 37, 1501), part = whole;
  part.first_row = 3, part.rows = 5, part.first_column = 501, part.columns = 700;
  for (const Slice& slice : {whole, part}) {
    std::vector<float> gpu = drawn(kGpu, slice), cpu = drawn({}, slice);
    for (size_t i = 0; i < cpu.size(); ++i) ASSERT_NEAR(gpu[i], cpu[i], 2e-6) << i;
  }
}

TEST_F(GpuTotalLoss, IsThatOfTheCpu) {
  auto total = [](Device device, int64_t rows) {
    Runtime runtime(device, 1 << 24);
    std::vector<float> values;
    for (int64_t r = 0; r < rows; ++r) values.push_back(3 + std::sin(float(r)));
    Tensor losses = stored({rows}, values, DType::f32), loss = Tensor::empty({1});
    total_loss_kernel({}, losses, stored({1}, std::vector<float>{0.125f}, DType::f32), loss);
    return fetched(loss)[0];
  };
  for (int64_t rows : {1, 700, 1024, 20001}) EXPECT_NEAR(total(kGpu, rows), total({}, rows), 1e-6f * total({}, rows));
}

/// Keeps the gradient of the hidden rows.
class Keeper : public GradientSink {
 public:
  void receive(const Tensor& gradient) override { kept = fetched(gradient); }
  std::vector<float> kept;
};

struct Result {
  std::vector<float> loss, dhidden, dhead;
};

/// A head of 192 columns, of which 189 are real.
Result chunked(Device device, DType dtype, int64_t rows_per_chunk) {
  constexpr int64_t kRows = 100, kHidden = 64, kColumns = 192, kReal = 189;
  Runtime runtime(device, 1 << 26);
  std::vector<float> rows, weights;
  std::vector<int32_t> ids;
  for (uint64_t i = 0; i < kRows * kHidden; ++i) rows.push_back(Random(1).normal(i));
  for (uint64_t i = 0; i < kColumns * kHidden; ++i) weights.push_back(0.2f * Random(2).normal(i));
  for (int64_t r = 0; r < kRows; ++r) ids.push_back(r % 9 == 8 ? -1 : int32_t(r * 71 % kReal));
  Parameter head({kColumns, kHidden}, {whole_matrix("head", kColumns, kHidden)}, Init::zeros());
  head.materialize_trained(dtype);
  upload(std::span<const float>(weights), head.kept);
  head.refresh();
  head.begin_step();
  Keeper keeper;
  Tensor hidden = stored({kRows, kHidden}, rows, dtype), targets = stored({kRows}, ids, DType::i32);
  Tensor one = stored({1}, std::vector<float>{1}, DType::f32);
  hidden.make_leaf(&keeper);
  Tape tape;
  Tensor loss;
  {
    Recording recording(&tape);
    auto project = [&](const Tensor& x) { return matmul(x, head.value); };
    loss = chunked_cross_entropy(hidden, project, targets, one, rows_per_chunk, kReal);
  }
  tape.backward(loss, one);
  return {fetched(loss), keeper.kept, fetched(head.gradient)};
}

void expect_near(const std::vector<float>& actual, const std::vector<float>& expected, float tolerance) {
  float largest = 0;
  for (float value : expected) largest = std::max(largest, std::abs(value));
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(actual[i], expected[i], tolerance * largest) << i;
}

TEST_F(GpuChunkedCrossEntropy, IsThatOfTheCpu) {
  for (DType dtype : {DType::f32, DType::bf16})
    for (int64_t rows : {32, 100}) {
      Result gpu = chunked(kGpu, dtype, rows), cpu = chunked({}, dtype, rows);
      float near = dtype == DType::f32 ? 2e-3f : 2e-2f;  // products of f32 on a GPU may round to 10 bits (TF32)
      expect_near(gpu.loss, cpu.loss, near);
      expect_near(gpu.dhidden, cpu.dhidden, near);
      expect_near(gpu.dhead, cpu.dhead, near);
    }
}

}  // namespace
}  // namespace lathe
