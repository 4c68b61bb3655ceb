#include "lathe/quant/block_packs.h"
#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<SplitCodes<4, 0, 8>, HalfScales<false>>(
    "Q4_0", pack_words<HalfScalesOfBlocks<false>, NibblesOfBlocks<2>, 64>);

}  // namespace
}  // namespace lathe::LATHE_ISA
