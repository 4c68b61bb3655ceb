#pragma once

#include "lathe/plan/gpu_ceilings.h"
#include "lathe/train/step_profile.h"

namespace lathe {

/// A profiled job beside the estimate that the fitted rates make of it.
struct FittedStep {
  JobSettings job;
  double seconds = 0, estimate = 0;
};

struct DeviceFit {
  DeviceProfile profile;
  std::vector<FittedStep> steps;
};

/// Profiles `device`, a GPU of this machine that nobody else uses, by the steps of small models of many shapes in each
/// dtype that it computes in; takes a minute or two. The rates of kernels are fitted to their calls, then all of a
/// dtype stretched alike so that whole steps take as long as they did.
DeviceFit fitted_profile(Device device, const GpuCeilings& ceilings);

}  // namespace lathe
