#include <cmath>

#include "lathe/nn/loss.h"
#include "lathe/nn/normal.h"
#include "tests/support/gpu.h"

namespace lathe {
namespace {

using GpuNormalRows = GpuTest;
using GpuTotalLoss = GpuTest;

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

}  // namespace
}  // namespace lathe
