#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<SplitCodes<4, 2, 32>, SuperScales<16, false>>("Q6_K");

}  // namespace
}  // namespace lathe::LATHE_ISA
