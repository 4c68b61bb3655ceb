#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<SplitCodes<4, 0, 0>, HalfScales<true>>("Q4_1");

}  // namespace
}  // namespace lathe::LATHE_ISA
