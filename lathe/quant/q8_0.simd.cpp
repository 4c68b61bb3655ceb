#include "lathe/quant/block_packs.h"
#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<ByteCodes, HalfScales<false>>(
    "Q8_0", pack_words<HalfScalesOfBlocks<false>, BytesOfBlocks<2, kHasUnsignedDot ? 0x80 : 0>, 64>);

}  // namespace
}  // namespace lathe::LATHE_ISA
