#include "lathe/quant/block_packs.h"
#include "lathe/quant/block_tiles.h"
#include "lathe/quant/iq4_values.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<TableCodes<kIq4Values>, HalfScales<false>>(
    "IQ4_NL", pack_words<HalfScalesOfBlocks<false>, NibblesOfBlocks<2>, 64>);

}  // namespace
}  // namespace lathe::LATHE_ISA
