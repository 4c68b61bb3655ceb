#include "lathe/ops/normed_product.h"

#include <gtest/gtest.h>

#include <tuple>

#include "lathe/base/error.h"
#include "lathe/ops/matmul_product.h"
#include "lathe/ops/rms_norm.h"
#include "lathe/tensor/rehearse.h"
#include "tests/ops/attention_support.h"
#include "tests/ops/op_support.h"

namespace lathe {
namespace {

using GpuNormedProduct = GpuTest;

constexpr Device kGpu{Backend::cuda};

struct Sizes {
  int64_t rows, columns, out;
};

/// A product on the current Runtime, of bf16.
struct Operands {
  Tensor x, weight, bias;
  PackedMatrix packed;
  InputNorm norm;

  explicit Operands(Sizes s)
      : x(normal_numbers({s.rows, s.columns}, 1, DType::bf16)),
        bias(normal_numbers({s.out}, 2)),
        packed(pack_matrix(normal_numbers({s.out, s.columns}, 3, DType::bf16))),
        norm{normal_numbers({s.columns}, 4), 1e-5f, 1} {}
  std::vector<float> at_once(const NormedEpilogue& epilogue) const {
    return values_of(matmul_normed(x, norm, packed, epilogue));
  }
  Tensor run_one_by_one(const NormedEpilogue& epilogue) const {
    Tensor y = matmul(rms_norm(x, norm.weight, norm.eps, norm.weight_offset), packed, {.bias = epilogue.bias});
    return epilogue.gate ? gated_activate(y, *epilogue.gate) : y;
  }
  std::vector<float> one_by_one(const NormedEpilogue& epilogue) const { return values_of(run_one_by_one(epilogue)); }
};

TEST(NormedProduct, HasTheBitsOfItsParts) {
  Runtime runtime({}, 1 << 24);
  Operands operands({3, 40, 24});
  for (const NormedEpilogue& epilogue : {NormedEpilogue{}, {&operands.bias}, {&operands.bias, Activation::silu}})
    EXPECT_EQ(operands.at_once(epilogue), operands.one_by_one(epilogue));
}

TEST(NormedProduct, RejectsANormOfAnotherSize) {
  Runtime runtime({}, 1 << 24);
  Operands operands({1, 40, 24});
  operands.norm.weight = normal_numbers({41}, 4);
  EXPECT_THROW(operands.at_once({}), Error);
}

/// Bytes, begin, end and purpose of what `run` takes from the arena.
std::vector<std::tuple<int64_t, int64_t, int64_t, Purpose>> taken_by(const std::function<void()>& run) {
  std::vector<std::tuple<int64_t, int64_t, int64_t, Purpose>> all;
  for (const Lifetime& one : rehearse(run).lifetimes) all.emplace_back(one.bytes, one.born, one.freed, one.purpose);
  return all;
}

/// So that a step of few rows fits a plan of more.
TEST(NormedProduct, InOneKernelTakesTheMemoryThatItsPartsTake) {
  Runtime runtime(kGpu.as_meta(), Runtime::kUnbounded);
  for (int64_t rows : {kMostNormedRows, kMostGatedRows}) {
    Operands operands({rows, 64, 4096});
    for (const NormedEpilogue& epilogue : {NormedEpilogue{}, {&operands.bias}, {&operands.bias, Activation::silu}}) {
      NormedProduct product{operands.x, operands.norm, epilogue.bias ? operands.bias : Tensor(), epilogue.gate};
      ASSERT_TRUE(has_kernel(product, 4096, kMostGatedRows));
      int64_t workspace = gpu_product_workspace_bytes(4096, DType::bf16, product.bias);
      EXPECT_EQ(taken_by([&] { take_in_turn(product, 4096, workspace); }),
                taken_by([&] { operands.run_one_by_one(epilogue); }));
    }
  }
}

/// Names of kernels that `run` calls on a GPU.
std::vector<std::string> kernels_of(Runtime& runtime, const std::function<void()>& run) {
  std::vector<std::string> names;
  runtime.on_kernel = [&](std::string_view name, Work, double) { names.emplace_back(name); };
  run();
  runtime.on_kernel = nullptr;
  return names;
}

/// Rows of one to eight packs a thread; a part of a piece of depth, whole ones; a tile of gates for some blocks,
/// several for all; x in registers for 8, 16 and 32 rows, all of them or fewer.
TEST_F(GpuNormedProduct, HasTheBitsOfItsPartsInOneKernel) {
  using enum Activation;
  for (Sizes s : {Sizes{1, 64, 32},
                  {1, 576, 3072},
                  {1, 1000, 2560},
                  {1, 2048, 11264},
                  {2, 200, 224},
                  {8, 1032, 4320},
                  {9, 1024, 2560},
                  {16, 2048, 2560},
                  {17, 576, 3072},
                  {31, 1544, 1568},
                  {32, 2048, 11264}}) {
    Runtime runtime(kGpu, 1 << 28);
    Operands operands(s);
    EXPECT_EQ(operands.at_once({}), operands.one_by_one({})) << s.columns;
    for (Activation gate : {gelu, gelu_tanh, quick_gelu, silu, relu, tanh}) {
      NormedEpilogue epilogue{&operands.bias, gate};
      EXPECT_EQ(operands.at_once(epilogue), operands.one_by_one(epilogue)) << s.columns << ' ' << int(gate);
    }
    auto run = [&] { matmul_normed(operands.x, operands.norm, operands.packed, {&operands.bias, silu}); };
    EXPECT_EQ(kernels_of(runtime, run), std::vector<std::string>{"matmul_normed"});
  }
}

TEST_F(GpuNormedProduct, HasTheBitsOfItsPartsWhereOneKernelCannot) {
  for (Sizes s : {Sizes{33, 2048, 64}, {2, 2056, 64}, {1, 60, 64}, {1, 64, 40}}) {
    Runtime runtime(kGpu, 1 << 28);
    Operands operands(s);
    NormedEpilogue epilogue{&operands.bias, Activation::silu};
    EXPECT_EQ(operands.at_once(epilogue), operands.one_by_one(epilogue)) << s.columns;
  }
}

TEST_F(GpuNormedProduct, OfFewRowsIsReplayedWhereMoreWereRehearsed) {
  auto step = [](const Operands& operands, int64_t rows) {
    Tensor x = operands.x.rows(0, rows), all[2];
    for (Tensor& y : all) y = matmul_normed(x, operands.norm, operands.packed, {&operands.bias, Activation::silu});
    return std::pair(all[0], all[1]);
  };
  constexpr Sizes kSizes{kMostGatedRows + 1, 256, 512};
  Placement placement;
  {
    Runtime runtime(kGpu.as_meta(), Runtime::kUnbounded);
    Operands operands(kSizes);
    placement = rehearse([&] { step(operands, kSizes.rows); }).placement;
  }
  Runtime runtime(kGpu, 1 << 28);
  Operands operands(kSizes);
  for (int64_t rows : {1, 8, 32}) {
    std::vector<float> first, second, expected = values_of(step(operands, rows).first);
    replay(placement, [&] {
      auto [a, b] = step(operands, rows);
      first = values_of(a), second = values_of(b);
    });
    EXPECT_EQ(first, expected);
    EXPECT_EQ(second, expected);
  }
}

}  // namespace
}  // namespace lathe
