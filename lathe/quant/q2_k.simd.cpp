#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<SplitCodes<2, 0, 0>, SuperScales<16, true>>("Q2_K");

}  // namespace
}  // namespace lathe::LATHE_ISA
