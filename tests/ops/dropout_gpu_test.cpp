#include "lathe/ops/dropout.h"
#include "tests/support/gpu.h"

namespace lathe {
namespace {

using GpuDropout = GpuTest;

template <class Key>
std::vector<float> dropped(Device device, int64_t columns, DType dtype, Key first_key) {
  Runtime runtime(device, 1 << 24);
  constexpr int64_t kRows = 9;
  std::vector<float> values;
  for (int64_t i = 0; i < kRows * columns; ++i) values.push_back(float(i % 251) - 125.3f);
  std::vector<Key> keys;
  for (int64_t r = 0; r < kRows; ++r) keys.push_back(first_key + Key(r));
  Tensor of = stored({kRows}, keys, sizeof(Key) == 8 ? DType::i64 : DType::i32);
  return fetched(dropout(stored({kRows, columns}, values, dtype), 0.3f, Random(5).fork("dropout"), of));
}

TEST_F(GpuDropout, DropsTheSameElementsAsTheCpu) {
  for (int64_t columns : {1, 37, 64, 128, 257, 768, 2048, 2056})
    for (DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      EXPECT_EQ(dropped<int32_t>(kGpu, columns, dtype, -3), dropped<int32_t>({}, columns, dtype, -3)) << columns;
      int64_t far = int64_t{5} << 33;
      EXPECT_EQ(dropped<int64_t>(kGpu, columns, dtype, far), dropped<int64_t>({}, columns, dtype, far)) << columns;
    }
}

}  // namespace
}  // namespace lathe
