#include "lathe/quant/block_packs.h"
#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

void pack(const BlockFormat&, const std::byte* first, int64_t stride, int64_t rows, std::byte* chunk) {
  const Blocks blocks{first, stride, rows};
  put_words<uint16_t>(blocks, chunk, [](const std::byte* block) { return word_at<uint16_t>(block, 208); });
  for (int g = 0; g < 16; ++g)
    put_words<uint8_t>(blocks, chunk + 64 + 32 * g, [g](const std::byte* block) { return uint8_t(block[192 + g]); });
  for (int sub = 0; sub < 8; ++sub) {
    const int half = sub / 4, part = sub % 4;
    put_planes<2>(
        blocks, chunk + 576 + sub * 768,
        [=](const std::byte* block, int i) {
          return word_at<uint32_t>(block, 64 * half + part % 2 * 32 + i) >> part / 2 * 4 & 0x0f0f0f0fu;
        },
        [=](const std::byte* block, int i) {
          return word_at<uint32_t>(block, 128 + 32 * half + i) >> part * 2 & 0x03030303u;
        });
  }
}

const bool provided = provide_panels<SplitCodes<4, 2, 32>, SuperScales<16, false>>("Q6_K", pack);

}  // namespace
}  // namespace lathe::LATHE_ISA
