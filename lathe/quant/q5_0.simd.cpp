#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<SplitCodes<4, 1, 16>, HalfScales<false>>("Q5_0");

}  // namespace
}  // namespace lathe::LATHE_ISA
