#include "lathe/quant/block_tiles.h"
#include "lathe/quant/mxfp4_values.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<TableCodes<kMxfp4Values>, PowerScales>("MXFP4");

}  // namespace
}  // namespace lathe::LATHE_ISA
