#include "lathe/tensor/kernel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lathe/tensor/sum.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

using TestKernel = Kernel<void(float value, Tensor& out)>;

template <int variant>
void write(float value, Tensor& out) {
  out.data<float>()[0] = value + variant;
}

/// Puts the instruction set back that was chosen before.
struct KeepIsa {
  Isa before = isa();
  ~KeepIsa() { set_isa(before); }
};

TEST(Kernel, RunsTheVariantOfTheInstructionSet) {
  KeepIsa keep;
  TestKernel kernel("test");
  kernel.provide(Isa::plain, write<1>);
  kernel.provide(Isa::avx2, write<2>);
  kernel.provide(Isa::avx512, write<3>);
  Runtime runtime({}, 1 << 20);
  Tensor out = zeros({1});
  for (Isa level : {Isa::plain, Isa::avx2, Isa::avx512}) {
    if (!isa_available(level)) continue;
    set_isa(level);
    kernel({}, 10, out);
    EXPECT_EQ(out.data<float>()[0], 11 + float(level));
  }
}

TEST(Kernel, FallsBackToTheNextLowerVariant) {
  KeepIsa keep;
  TestKernel kernel("test");
  kernel.provide(Isa::plain, write<1>);
  EXPECT_TRUE(kernel.has(Isa::plain));
  EXPECT_FALSE(kernel.has(Isa::avx2));
  Runtime runtime({}, 1 << 20);
  Tensor out = zeros({1});
  for (Isa level : {Isa::avx512, Isa::avx2, Isa::plain}) {
    if (!isa_available(level)) continue;
    set_isa(level);
    kernel({}, 10, out);
    EXPECT_EQ(out.data<float>()[0], 11);
  }
}

TEST(Kernel, NamesItselfWhereItHasNoVariant) {
  TestKernel kernel("lonely");
  Runtime runtime({}, 1 << 20);
  Tensor out = Tensor::empty({1});
  try {
    kernel({}, 1, out);
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("lonely has no kernel for cpu:0"));
  }
}

TEST(Kernel, OnlyCountsOnMeta) {
  TestKernel kernel("test");  // nothing provided: a call would throw
  Runtime runtime(Device{}.as_meta(), Runtime::kUnbounded);
  Tensor out = Tensor::empty({1});
  kernel({7, 9}, 1, out);
  kernel({1, 2}, 1, out);
  EXPECT_EQ(runtime.totals, (WorkTotals{2, 8, 11, 0}));
}

TEST(Kernel, CountsWhereItsResultLives) {
  TestKernel kernel("test");
  kernel.provide(Isa::plain, write<0>);
  Runtime outer({}, 1 << 20);
  Tensor out = Tensor::empty({1});
  Runtime inner(Device{}.as_meta(), Runtime::kUnbounded);
  kernel({5, 6}, 3, out);
  EXPECT_EQ(outer.totals, (WorkTotals{1, 5, 6, 0}));
  EXPECT_EQ(inner.totals, WorkTotals{});
  EXPECT_EQ(out.data<float>()[0], 3);
}

TEST(Kernel, TellsWhatRan) {
  TestKernel kernel("test");
  kernel.provide(Isa::plain, write<0>);
  Runtime runtime({}, 1 << 20);
  std::vector<std::string> ran;
  runtime.on_kernel = [&](std::string_view name, Work work, double seconds) {
    EXPECT_GE(seconds, 0);
    ran.push_back(text(name, " ", work.flops));
  };
  Tensor out = Tensor::empty({1});
  kernel({4, 0}, 1, out);
  EXPECT_EQ(ran, std::vector<std::string>{"test 4"});
}

TEST(Runtime, IsTheNewestOfItsThread) {
  Runtime outer({}, 1 << 20);
  {
    Runtime inner(Device{}.as_meta(), Runtime::kUnbounded);
    EXPECT_EQ(&Runtime::current(), &inner);
  }
  EXPECT_EQ(&Runtime::current(), &outer);
}

TEST(Upload, FillsATensorWithTheBytesOfTheHost) {
  Runtime runtime({}, 1 << 20);
  Tensor to = Tensor::empty({3}, DType::i32);
  std::vector<int32_t> from = {5, -6, 7};
  upload(std::span<const int32_t>(from), to);
  EXPECT_EQ(std::vector<int32_t>(to.data<int32_t>(), to.data<int32_t>() + 3), from);
  EXPECT_EQ(read_value<int32_t>(to), 5);
  EXPECT_THROW(upload(std::span<const int32_t>(from.data(), 2), to), InternalError);
}

TEST(ReadValue, IsEmptyOnMeta) {
  Runtime runtime(Device{}.as_meta(), Runtime::kUnbounded);
  EXPECT_EQ(read_value<float>(zeros({1})), std::nullopt);
}

TEST(Storage, SaysSoWhenItsBytesAreDropped) {
  Runtime runtime({}, 1 << 20);
  Tensor tensor = zeros({4}), same = tensor.alias({2, 2});
  tensor.storage().drop();
  EXPECT_THROW(same.data<float>(), InternalError);
  EXPECT_EQ(runtime.arena.use().live, 0);
  tensor.storage().restore();
  fill(same, 2);
  EXPECT_EQ(tensor.data<float>()[3], 2);
}

TEST(Tensor, SharesBytesWithItsRowsAndAliases) {
  Runtime runtime({}, 1 << 20);
  Tensor x = zeros({4, 3});
  Tensor row = x.rows(2, 1);
  fill(row, 5);
  EXPECT_EQ(x.data<float>()[6], 5);
  EXPECT_EQ(x.data<float>()[5], 0);
  EXPECT_FALSE(x.unique());
  EXPECT_THROW(x.rows(3, 2), InternalError);
  EXPECT_THROW(x.alias({5}), InternalError);
}

}  // namespace
}  // namespace lathe
