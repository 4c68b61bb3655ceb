#include "lathe/quant/block_packs.h"
#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

void pack(const BlockFormat&, const std::byte* first, int64_t stride, int64_t rows, std::byte* chunk) {
  const Blocks blocks{first, stride, rows};
  pack_k_scales(blocks, chunk);
  for (int sub = 0; sub < 8; ++sub)
    put_planes<0>(blocks, chunk + 640 + sub * 512, NibblesOfSuperBlocks<16>{sub}, nullptr);
}

const bool provided = provide_panels<SplitCodes<4, 0, 0>, SuperScales<32, true>>("Q4_K", pack);

}  // namespace
}  // namespace lathe::LATHE_ISA
