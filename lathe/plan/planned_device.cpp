#include "lathe/plan/planned_device.h"

#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/base/memory_info.h"
#include "lathe/base/numbers.h"
#include "lathe/plan/gpu_ceilings.h"

namespace lathe {

std::string PlannedDevice::name() const { return gpu() ? profile.name : "this machine's CPU"; }

PlannedDevice planned_here(Device device) {
  int64_t host = host_memory_budget();
  if (device.backend == Backend::cpu) return {.device = device, .profile = {}, .budget = host, .host_budget = host};
  const Accelerators& found = accelerators();
  require(!found.gpus.empty(), device.name(), " was asked for, but ", found.why_none,
          "; a plan for a GPU that is not here names its kind: --device h100");
  require(device.index >= 0 && device.index < int(found.gpus.size()), device.name(), " was asked for, but there is ",
          describe(found));
  DeviceProfile profile = profile_here(device);
  const AcceleratorInfo& gpu = found.gpus[size_t(device.index)];
  int64_t budget = std::min(gpu.free_bytes + profile.context, gpu.memory_bytes);
  return {.device = device, .profile = std::move(profile), .budget = budget, .host_budget = host};
}

PlannedDevice planned_on(const std::string& asked) {
  if (asked == "cpu") return planned_here({});
  if (asked == "cuda") return planned_here({.backend = Backend::cuda});
  if (asked.starts_with("cuda:"))
    return planned_here({.backend = Backend::cuda, .index = int(parse_int(asked.substr(5), "--device"))});
  PlannedDevice planned{.device = {.backend = Backend::cuda}, .profile = read_device_profile(asked), .here = false};
  planned.budget = planned.profile.memory;
  planned.host_budget = host_memory_budget();
  return planned;
}

}  // namespace lathe
