#include "lathe/quant/block_tiles.h"
#include "lathe/quant/iq4_values.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<TableCodes<kIq4Values>, SuperScales<32, false>>("IQ4_XS");

}  // namespace
}  // namespace lathe::LATHE_ISA
