#include "lathe/quant/block_tiles.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<ByteCodes, FloatScales>("Q8_K");

}  // namespace
}  // namespace lathe::LATHE_ISA
