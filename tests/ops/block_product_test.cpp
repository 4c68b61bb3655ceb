#include "lathe/quant/block_product.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "lathe/tensor/transfer.h"
#include "tests/ops/op_support.h"
#include "tests/support/error_of.h"

namespace lathe {
namespace {

using Inputs = std::span<const Tensor>;

/// Bytes whose numbers are of moderate size, the same for every run.
const std::vector<std::byte>& some_blocks(const BlockFormat& format, int64_t elements) {
  static std::map<std::pair<std::string_view, int64_t>, std::vector<std::byte>> made;
  std::vector<std::byte>& blocks = made[{format.name, elements}];
  if (!blocks.empty()) return blocks;
  blocks.resize(size_t(bytes_of_row(format, elements)));
  std::mt19937 random{3};
  for (int64_t at = 0; at < int64_t(blocks.size()); at += format.bytes) {
    float values[256];
    do {
      for (int64_t i = 0; i < format.bytes; ++i)  // halves below 2
        blocks[size_t(at + i)] = std::byte(random() >> 8) & std::byte(format.numbers && i % 2 ? 0xbf : 0xff);
      dequantize_blocks(format, blocks.data() + at, format.elements, values);
    } while (!std::all_of(values, values + format.elements, [](float x) { return std::abs(x) < 4; }));
  }
  return blocks;
}

BlockMatrix packed_matrix(const char* name, int64_t out, int64_t in) {
  const BlockFormat& format = *find_block_format(name);
  int64_t row_bytes = bytes_of_row(format, in);
  auto storage = std::make_shared<Storage>(std::max(out * row_bytes, packed_bytes(format, {out, in})));
  storage->restore();
  Tensor rows = Tensor::view(std::move(storage), 0, {out, row_bytes}, DType::u8);
  upload(Bytes(some_blocks(format, out * in)), rows);
  return pack_in_place(format, rows);
}

OpInput x_of(int64_t rows, int64_t in) { return {.shape = {rows, in}, .differentiable = false}; }

/// f16 weights that are small beside their neighbours are rounded where vectors multiply them.
constexpr OpTolerances kTolerances = {.isa_f32 = 3e-4};

class BlockProducts : public testing::TestWithParam<const char*> {};

/// Few rows and many: whole tiles and parts of them, depth in several pieces.
TEST_P(BlockProducts, KeepThePromisesOfAnOp) {
  auto op = [](Inputs x) {
    BlockMatrix w = packed_matrix(GetParam(), 34, 768);
    return multiply_blocks(x[0], {&w, 1});
  };
  check_op(GetParam(), {x_of(3, 768)}, op, {.tolerances = kTolerances, .samples = 0});
  check_op(GetParam(), {x_of(8, 768)}, op, {.tolerances = kTolerances, .dtypes = {DType::f32}, .samples = 0});
}

TEST_P(BlockProducts, GiveRowsThatKeepThePromisesOfAnOp) {
  check_op(GetParam(), {ids_input({3, 33, 0, 33})},
           [](Inputs x) {
             BlockMatrix w = packed_matrix(GetParam(), 34, 256);
             return block_rows({&w, 1}, x[0], DType::f32);
           },
           {.tolerances = kTolerances, .dtypes = {DType::f32}, .samples = 0});
}

INSTANTIATE_TEST_SUITE_P(Several, BlockProducts, testing::Values("Q4_0", "Q4_K", "Q6_K", "IQ4_NL", "F16"));
INSTANTIATE_TEST_SUITE_P(SlowOthers, BlockProducts,
                         testing::Values("Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q8_K", "Q2_K", "Q3_K", "Q5_K", "IQ4_XS",
                                         "MXFP4"));

TEST(BlockProduct, AddsBiasAndResidualToSeveralParts) {
  check_op("parts",
           {x_of(5, 256),
            {.shape = {104}, .always_f32 = true, .differentiable = false},
            {.shape = {5, 104}, .differentiable = false}},
           [](Inputs x) {
             BlockMatrix parts[] = {packed_matrix("Q4_0", 64, 256), packed_matrix("Q6_K", 33, 256),
                                    packed_matrix("Q8_0", 7, 256)};
             return multiply_blocks(x[0], parts, {&x[1], &x[2]});
           },
           {.samples = 0});
}

TEST(BlockProduct, RefusesRowsThatDoNotFit) {
  Runtime runtime({}, 1 << 20);
  BlockMatrix w = packed_matrix("Q4_0", 64, 256);
  EXPECT_NE(error_of([&] { multiply_blocks(Tensor::empty({2, 128}), {&w, 1}); }), "");
  EXPECT_EQ(error_of([&] {
              multiply_blocks(Tensor::empty({2, 256}, DType::f16), {&w, 1});
            }),
            "multiply_blocks: x is f16; it must be f32 or bf16");
}

}  // namespace
}  // namespace lathe
