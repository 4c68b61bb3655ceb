#include "lathe/quant/block_packs.h"
#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<SplitCodes<4, 0, 0>, HalfScales<true>>(
    "Q4_1", pack_words<HalfScalesOfBlocks<true>, NibblesOfBlocks<4>, 128>);

}  // namespace
}  // namespace lathe::LATHE_ISA
