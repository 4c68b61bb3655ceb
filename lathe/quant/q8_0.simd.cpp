#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<ByteCodes, HalfScales<false>>("Q8_0");

}  // namespace
}  // namespace lathe::LATHE_ISA
