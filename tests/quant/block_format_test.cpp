#include "lathe/quant/block_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "lathe/tensor/random.h"
#include "tests/support/error_of.h"
#include "tests/support/program.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<float> dequantized(const std::string& name, const std::vector<std::byte>& blocks) {
  const BlockFormat& format = *find_block_format(name);
  std::vector<float> elements(blocks.size() / size_t(format.bytes) * size_t(format.elements));
  dequantize_blocks(format, blocks.data(), int64_t(elements.size()), elements.data());
  return elements;
}

std::vector<std::byte> quantized(const std::string& name, const std::vector<float>& elements) {
  const BlockFormat& format = *find_block_format(name);
  std::vector<std::byte> blocks(size_t(bytes_of_row(format, int64_t(elements.size()))));
  quantize_blocks(format, elements.data(), int64_t(elements.size()), blocks.data());
  return blocks;
}

TEST(BlockFormats, AreThoseOfFilesInUse) {
  EXPECT_THAT(block_format_names(),
              testing::ElementsAre("F16", "IQ4_NL", "IQ4_XS", "MXFP4", "Q2_K", "Q3_K", "Q4_0", "Q4_1", "Q4_K", "Q5_0",
                                   "Q5_1", "Q5_K", "Q6_K", "Q8_0", "Q8_K"));
  EXPECT_EQ(find_block_format("Q9_9"), nullptr);
}

TEST(BlockFormats, RefuseRowsThatAreNotWholeBlocks) {
  EXPECT_EQ(bytes_of_row(*find_block_format("Q4_K"), 512), 288);
  EXPECT_EQ(error_of([] { bytes_of_row(*find_block_format("Q4_K"), 576); }),
            "Q4_K: a row of 576 elements is not whole blocks of 256");
}

TEST(BlockFormats, SayWhichCannotBeWritten) {
  std::vector<float> elements(256);
  EXPECT_EQ(error_of([&] { quantized("Q6_K", elements); }),
            "Q6_K can be read, but not written; Q8_0, Q4_0 and Q4_1 can");
}

TEST(BlockFormats, KeepNumbersThatFitTheirCodes) {
  std::vector<float> elements(32);
  for (int i = 0; i < 32; ++i) elements[size_t(i)] = float(i % 16 - 8) * 0.25f;
  EXPECT_EQ(dequantized("Q4_0", quantized("Q4_0", elements)), elements);
  EXPECT_EQ(dequantized("Q4_1", quantized("Q4_1", elements)), elements);
}

TEST(BlockFormats, DecodeZeroBytesAsZeros) {
  for (const std::string& name : block_format_names())
    for (float element : dequantized(name, std::vector<std::byte>(size_t(find_block_format(name)->bytes))))
      ASSERT_EQ(element, 0) << name;
}

TEST(BlockFormats, TakeWhatIsNoNumberWithoutHarm) {
  for (const char* name : {"Q4_0", "Q4_1", "Q8_0"}) {
    std::vector<float> elements(64, 1.0f);
    elements[3] = kNaN, elements[5] = kInfinity, elements[7] = -kInfinity;
    std::vector<float> back = dequantized(name, quantized(name, elements));
    EXPECT_NEAR(back[40], 1.0f, 1e-3) << name;  // of the other block
  }
}

constexpr const char* kDequantize = R"(
import sys, numpy, gguf
name, blocks, out = sys.argv[1:4]
kind = gguf.GGMLQuantizationType[name]
numpy.seterr(all="ignore")
gguf.quants.dequantize(numpy.fromfile(blocks, dtype=numpy.uint8).reshape(-1, gguf.GGML_QUANT_SIZES[kind][1]), kind).astype("<f4").tofile(out)
)";

constexpr const char* kQuantize = R"(
import sys, numpy, gguf
name, elements, out = sys.argv[1:4]
gguf.quants.quantize(numpy.fromfile(elements, dtype="<f4").reshape(-1, 256), gguf.GGMLQuantizationType[name]).tofile(out)
)";

template <class T>
void write_values(const std::string& path, const std::vector<T>& values) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), std::streamsize(values.size() * sizeof(T)));
}

template <class T>
std::vector<T> read_values(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<T> values(size_t(file.tellg()) / sizeof(T));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(values.data()), std::streamsize(values.size() * sizeof(T)));
  return values;
}

class PeerBlockFormat : public testing::TestWithParam<const char*> {};

/// Any bytes are blocks; those whose f16 scales are no numbers are compared as such.
TEST_P(PeerBlockFormat, IsReadAsLlamaCppReadsIt) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  TemporaryDirectory folder;
  std::vector<std::byte> blocks(size_t(find_block_format(GetParam())->bytes) * 4096);
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = std::byte(Random(5).bits(i));
  write_values(folder.path("blocks"), blocks);
  run_peer(kDequantize, {GetParam(), folder.path("blocks"), folder.path("out")});
  std::vector<float> expected = read_values<float>(folder.path("out")), found = dequantized(GetParam(), blocks);
  ASSERT_EQ(found.size(), expected.size());
  int64_t different = 0;
  for (size_t i = 0; i < found.size(); ++i)
    different += std::memcmp(&found[i], &expected[i], 4) != 0 && !(std::isnan(found[i]) && std::isnan(expected[i]));
  EXPECT_EQ(different, 0);
}

// Q8_K is no type of files that gguf reads: it has no reader there.
INSTANTIATE_TEST_SUITE_P(All, PeerBlockFormat,
                         testing::Values("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
                                         "IQ4_NL", "IQ4_XS", "MXFP4"));

class PeerQuantizer : public testing::TestWithParam<const char*> {};

TEST_P(PeerQuantizer, MakesTheBytesOfLlamaCpp) {
  if (!peers_are_ready()) GTEST_SKIP() << no_peers();
  TemporaryDirectory folder;
  std::vector<float> elements(256 * 512);
  for (size_t i = 0; i < elements.size(); ++i) {
    float size = std::exp2(float(i / 4096) - 20);  // from subnormal scales on
    elements[i] = i % 8192 < 64 ? 0 : size * Random(6).normal(i);
  }
  write_values(folder.path("elements"), elements);
  run_peer(kQuantize, {GetParam(), folder.path("elements"), folder.path("out")});
  std::vector<std::byte> expected = read_values<std::byte>(folder.path("out"));
  EXPECT_TRUE(quantized(GetParam(), elements) == expected);
}

INSTANTIATE_TEST_SUITE_P(All, PeerQuantizer, testing::Values("Q8_0", "Q4_0", "Q4_1"));

}  // namespace
}  // namespace lathe
