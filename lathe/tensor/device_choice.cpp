#include "lathe/tensor/device_choice.h"

#include <charconv>
#include <string_view>

#include "lathe/base/error.h"
#include "lathe/base/isa.h"
#include "lathe/base/memory_info.h"
#include "lathe/tensor/accelerator.h"

namespace lathe {
namespace {

/// The number behind "cuda:"; -1 when there is none.
int gpu_number(std::string_view asked) {
  constexpr std::string_view kPrefix = "cuda:";
  if (!asked.starts_with(kPrefix)) return -1;
  int number = -1;
  auto [end, problem] = std::from_chars(asked.data() + kPrefix.size(), asked.data() + asked.size(), number);
  return problem == std::errc() && end == asked.data() + asked.size() ? number : -1;
}

}  // namespace

Device choose_device(const std::string& asked) {
  if (asked == "cpu") return {};
  if (asked == "auto") return {accelerators().gpus.empty() ? Backend::cpu : Backend::cuda};
  int number = asked == "cuda" ? 0 : gpu_number(asked);
  require(number >= 0, "device \"", asked, "\" is none of auto, cpu, cuda, cuda:0, cuda:1, ...");
  const Accelerators& found = accelerators();
  require(!found.gpus.empty(), "device ", asked, " was asked for, but ", found.why_none);
  require(size_t(number) < found.gpus.size(), "device ", asked, " was asked for; there are ", describe(found));
  return {Backend::cuda, number};
}

DType default_compute(Device device) {
  if (device.backend == Backend::cpu) return isa() == Isa::avx512 ? DType::bf16 : DType::f32;
  const std::vector<AcceleratorInfo>& gpus = accelerators().gpus;
  bool known = size_t(device.index) < gpus.size();
  return known && gpus[size_t(device.index)].architecture < "sm_80" ? DType::f32
                                                                    : DType::bf16;  // "sm_75" before Ampere
}

int64_t memory_budget(Device device) {
  if (device.backend == Backend::cpu) return host_memory_budget();
  return accelerators().gpus.at(size_t(device.index)).free_bytes;
}

}  // namespace lathe
