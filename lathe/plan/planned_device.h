#pragma once

#include "lathe/plan/device_profile.h"

namespace lathe {

/// Where a planned run would compute, and what memory it may take.
struct PlannedDevice {
  Device device;            ///< what the rehearsal imitates
  DeviceProfile profile;    ///< of a GPU; empty of a CPU
  bool here = true;         ///< in this machine
  int64_t budget = 0;       ///< bytes of the device's memory
  int64_t host_budget = 0;  ///< bytes of the host's, for what stays there; a CPU's own memory is `budget`

  bool gpu() const { return device.backend == Backend::cuda; }
  std::string name() const;  ///< "NVIDIA H200", "this machine's CPU"
};

/// A device of this machine. Budgets are what is free: of a GPU, together with what this process took by opening it.
/// Throws Error where there is no such GPU.
PlannedDevice planned_here(Device device);

/// "cpu", "cuda" and "cuda:1" of this machine; or a GPU that need not be here, all of its memory free: "h100" or
/// another of known_devices(), or the path of a profile. Throws Error when it is none of these.
PlannedDevice planned_on(const std::string& asked);

}  // namespace lathe
