#include "lathe/quant/block_packs.h"
#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<SplitCodes<4, 1, 16>, HalfScales<false>>(
    "Q5_0", pack_words<HalfScalesOfBlocks<false>, FiveBitsOfBlocks<2>, 64>);

}  // namespace
}  // namespace lathe::LATHE_ISA
