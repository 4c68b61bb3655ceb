#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<SplitCodes<2, 1, 4>, SuperScales<16, false>>("Q3_K");

}  // namespace
}  // namespace lathe::LATHE_ISA
