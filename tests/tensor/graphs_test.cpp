#include "lathe/tensor/graphs.h"

#include <gtest/gtest.h>

#include "lathe/tensor/sum.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

class GpuGraphs : public testing::Test {
 protected:
  void SetUp() override {
    if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  }
};

Tensor scalar(float value) {
  Tensor tensor = Tensor::empty({1});
  upload(std::span<const float>(&value, 1), tensor);
  return tensor;
}

void set(Tensor& tensor, float value) { upload(std::span<const float>(&value, 1), tensor); }

TEST(Graphs, JustRunWorkOnACpu) {
  Runtime runtime({}, 1 << 20);
  Graphs graphs(2);
  int runs = 0;
  for (int i = 0; i < 4; ++i) graphs.run(0, [&] { ++runs; });
  EXPECT_EQ(runs, 4);
}

TEST_F(GpuGraphs, UploadAnewWithEachLaunch) {
  Runtime runtime({Backend::cuda}, 1 << 20);
  Graphs graphs(2);
  Tensor total = scalar(0), next = scalar(0);
  float expected = 0;
  for (int i = 1; i <= 9; ++i) {
    graphs.run(7, [&] {
      set(next, float(i));
      accumulate(next, total);
      set(next, 100 * float(i));
      accumulate(next, total);
    });
    expected += 101 * float(i);
  }
  EXPECT_EQ(read_value<float>(total), expected);
}

TEST_F(GpuGraphs, GiveLateValuesInOrder) {
  Runtime runtime({Backend::cuda}, 1 << 20);
  Graphs graphs(2);
  Tensor total = scalar(0), one = scalar(1);
  std::vector<LateValue<float>> values;
  for (int i = 0; i < 6; ++i) {
    graphs.run(0, [&] { accumulate(one, total); });
    values.emplace_back(total);
  }
  for (int i = 0; i < 6; ++i) EXPECT_EQ(values[size_t(i)].get(), float(i + 1));
}

TEST_F(GpuGraphs, RefuseOtherWorkUnderTheSameKey) {
  Runtime runtime({Backend::cuda}, 1 << 20);
  Graphs graphs(1);
  Tensor total = scalar(0), other = scalar(0), one = scalar(1);
  for (int i = 0; i < 3; ++i) graphs.run(0, [&] { accumulate(one, total); });
  EXPECT_THROW(graphs.run(0, [&] { accumulate(one, other); }), InternalError);
}

TEST_F(GpuGraphs, RefuseToReadValuesBack) {
  Runtime runtime({Backend::cuda}, 1 << 20);
  Graphs graphs(1);
  Tensor one = scalar(1);
  auto read = [&] { EXPECT_EQ(read_value<float>(one), 1); };
  graphs.run(0, read);
  EXPECT_THROW(graphs.run(0, read), InternalError);
  EXPECT_EQ(read_value<float>(one), 1);
}

}  // namespace
}  // namespace lathe
