#include "lathe/files/file_tensor.h"

#include <gtest/gtest.h>

#include <cstring>

#include "lathe/quant/block_format.h"
#include "tests/support/error_of.h"

namespace lathe {
namespace {

/// Four rows of 64 numbers that Q4_0 holds exactly, in a file that has them in reverse.
class BlocksInAFile : public testing::Test {
 protected:
  const BlockFormat& format_ = *find_block_format("Q4_0");
  std::vector<float> numbers_;
  std::vector<std::byte> bytes_;
  FileTensor tensor_;

  BlocksInAFile() : numbers_(4 * 64), bytes_(4 * 36) {
    for (size_t i = 0; i < numbers_.size(); ++i) numbers_[i] = float(int(i % 16) - 8) * float(1 + i / 64);
    for (int64_t row = 0; row < 4; ++row)
      quantize_blocks(format_, numbers_.data() + row * 64, 64, bytes_.data() + (3 - row) * 36);
    tensor_ = {.name = "blk.0.w",
               .file = "m.gguf",
               .type = "Q4_0",
               .shape = {4, 64},
               .bytes = bytes_,
               .out_in = true,
               .row = [](int64_t row) { return 3 - row; }};
  }
};

TEST_F(BlocksInAFile, AreReadAsNumbers) {
  std::vector<float> to(2 * 32);
  Slice slice{"w", 4, 64, 1, 2, 32, 32};
  check_fits(tensor_, slice);
  read_slice(tensor_, slice, DType::f32, reinterpret_cast<std::byte*>(to.data()));
  for (size_t row = 0; row < 2; ++row)
    for (size_t i = 0; i < 32; ++i) EXPECT_EQ(to[row * 32 + i], numbers_[(1 + row) * 64 + 32 + i]);
}

TEST_F(BlocksInAFile, AreReadAsTheyAre) {
  std::vector<std::byte> to(2 * 18);
  read_slice(tensor_, {"w", 4, 64, 1, 2, 32, 32}, DType::u8, to.data());
  for (int64_t row = 0; row < 2; ++row)
    EXPECT_EQ(std::memcmp(to.data() + row * 18, bytes_.data() + (2 - row) * 36 + 18, 18), 0);
}

TEST_F(BlocksInAFile, AreNoVectors) {
  tensor_.shape = {64};
  EXPECT_EQ(error_of([&] { check_fits(tensor_, whole_vector("w", 64)); }),
            "m.gguf: tensor \"blk.0.w\" has type Q4_0; blocks must divide the rows of a matrix");
}

}  // namespace
}  // namespace lathe
