#include "lathe/quant/block_packs.h"
#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

void pack(const BlockFormat&, const std::byte* first, int64_t stride, int64_t rows, std::byte* chunk) {
  const Blocks blocks{first, stride, rows};
  pack_k_scales(blocks, chunk);
  for (int sub = 0; sub < 8; ++sub)
    put_planes<1>(blocks, chunk + 640 + sub * 640, NibblesOfSuperBlocks<48>{sub}, [sub](const std::byte* block, int i) {
      return word_at<uint32_t>(block, 16 + i) >> sub & 0x01010101u;
    });
}

const bool provided = provide_panels<SplitCodes<4, 1, 0>, SuperScales<32, true>>("Q5_K", pack);

}  // namespace
}  // namespace lathe::LATHE_ISA
