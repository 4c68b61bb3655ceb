#include "lathe/tensor/sum.h"

#include <gtest/gtest.h>

#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

constexpr DType kFloating[] = {DType::f32, DType::bf16, DType::f16};

/// Small multiples of a quarter, which every floating type holds.
Tensor quarters(DType dtype, int64_t count, float first) {
  Tensor tensor = Tensor::empty({count});
  for (int64_t i = 0; i < count; ++i) tensor.data<float>()[i] = first + 0.25f * float(i % 16);
  return converted(tensor, dtype);
}

void expect_quarters(const Tensor& tensor, float first, float times) {
  Tensor wide = converted(tensor, DType::f32);
  for (int64_t i = 0; i < wide.elements(); ++i)
    ASSERT_EQ(wide.data<float>()[i], first + times * 0.25f * float(i % 16)) << name_of(tensor.dtype()) << ' ' << i;
}

TEST(Accumulate, AddsAnyFloatingTypeToAnyOther) {
  Runtime runtime({}, 1 << 20);
  for (DType from : kFloating)
    for (DType to : kFloating) {
      Tensor x = quarters(from, 37, 1), total = quarters(to, 37, 2);
      accumulate(x, total);
      expect_quarters(total, 3, 2);
      expect_quarters(x, 1, 1);
    }
}

TEST(Copy, ConvertsAnyFloatingTypeToAnyOther) {
  Runtime runtime({}, 1 << 20);
  for (DType from : kFloating)
    for (DType to : kFloating) {
      Tensor out = Tensor::empty({37}, to);
      copy(quarters(from, 37, -2), out);
      expect_quarters(out, -2, 1);
    }
}

TEST(Sum, IsOfTheTypeOfItsParts) {
  Runtime runtime({}, 4 << 20);
  for (DType dtype : kFloating) {
    Tensor total = sum(quarters(dtype, 100'000, 0), quarters(dtype, 100'000, 1));  // above the threads' threshold
    EXPECT_EQ(total.dtype(), dtype);
    expect_quarters(total, 1, 2);
  }
}

TEST(Sum, RefusesPartsOfOtherSizes) {
  Runtime runtime({}, 1 << 20);
  Tensor small = zeros({4}), large = zeros({5});
  EXPECT_THROW(accumulate(small, large), InternalError);
  EXPECT_THROW(copy(small, large), InternalError);
  EXPECT_THROW(sum(small, large), InternalError);
}

TEST(Converted, SharesBytesWhereNothingChanges) {
  Runtime runtime({}, 1 << 20);
  Tensor x = zeros({4}), same = converted(x, DType::f32), other = converted(x, DType::bf16);
  EXPECT_EQ(same.data<float>(), x.data<float>());
  EXPECT_EQ(other.dtype(), DType::bf16);
  EXPECT_EQ(other.bytes(), 8);
}

TEST(Zeros, AreZeroInBytesThatWereUsedBefore) {
  Runtime runtime({}, 1 << 20);
  {
    Tensor used = Tensor::empty({1000});
    fill(used, 7);
  }
  Tensor x = zeros({1000});
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(x.data<float>()[i], 0);
}

TEST(Device, NamesItselfAndWhatItImitates) {
  EXPECT_EQ(Device{}.name(), "cpu:0");
  EXPECT_EQ((Device{Backend::cuda, 1}.as_meta().name()), "meta:cuda:1");
  EXPECT_NE(Device{}.as_meta(), Device{});
}

}  // namespace
}  // namespace lathe
