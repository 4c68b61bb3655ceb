#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<SplitCodes<4, 0, 8>, HalfScales<false>>("Q4_0");

}  // namespace
}  // namespace lathe::LATHE_ISA
