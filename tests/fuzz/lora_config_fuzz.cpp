// Any text as adapter_config.json: an Error, or answers about modules.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "lathe/base/error.h"
#include "lathe/files/lora_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  try {
    const lathe::LoraConfig config(std::string(reinterpret_cast<const char*>(bytes), size), "adapter_config.json");
    for (const char* module : {"model.layers.11.self_attn.q_proj", "lm_head", ""})
      if (config.targets(module) && config.rank_of(module) <= 0) std::abort();
  } catch (const lathe::Error&) {
  }
  return 0;
}
