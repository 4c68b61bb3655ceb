#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<SplitCodes<4, 0, 0>, SuperScales<32, true>>("Q4_K");

}  // namespace
}  // namespace lathe::LATHE_ISA
