#include "lathe/quant/block_tiles.h"
#include "lathe/quant/iq4_values.h"

namespace lathe::LATHE_ISA {
namespace {

const bool provided = provide_panels<TableCodes<kIq4Values>, HalfScales<false>>("IQ4_NL");

}  // namespace
}  // namespace lathe::LATHE_ISA
