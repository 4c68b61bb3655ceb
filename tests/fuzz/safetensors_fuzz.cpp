// Any text as the header of a safetensors file: an Error, or tensors that tile the data exactly.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lathe/base/error.h"
#include "lathe/files/safetensors.h"

namespace {

/// The data's size comes from the first two bytes, so that headers can be right.
void read(std::string_view json, int64_t data_bytes) {
  int64_t end = 0;
  for (const lathe::TensorEntry& entry : lathe::parse_safetensors_header(json, data_bytes, "x.safetensors").entries) {
    if (entry.offset != end || entry.bytes != entry.elements() * entry.type->bytes) std::abort();
    end = entry.offset + entry.bytes;
  }
  if (end != data_bytes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size < 2) return 0;
  try {
    read({reinterpret_cast<const char*>(bytes) + 2, size - 2}, bytes[0] | bytes[1] << 8);
  } catch (const lathe::Error&) {
  }
  return 0;
}
