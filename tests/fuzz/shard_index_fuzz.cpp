// Any text as the index of a prepared corpus: an Error or a consistent index that survives a round trip.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lathe/base/error.h"
#include "lathe/data/shard_index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  try {
    const lathe::data::ShardIndex index =
        lathe::data::parse_index({reinterpret_cast<const char*>(bytes), size}, "index.json");
    const std::string written = lathe::data::format_index(index);
    if (lathe::data::format_index(lathe::data::parse_index(written, "index.json")) != written) std::abort();
  } catch (const lathe::Error&) {
  }
  return 0;
}
