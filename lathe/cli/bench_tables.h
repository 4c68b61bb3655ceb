#pragma once

#include <string>
#include <vector>

#include "lathe/train/device_fit.h"

namespace lathe::cli {

/// A measured step of a job, beside what its device does at best.
struct Profiled {
  JobSettings job;
  Ceilings ceilings;
  StepProfile step;
  double estimate = 0;  ///< seconds of the step as lathe plan foretells them; 0: not asked
};

/// What lathe bench shows of this machine's CPU, of one of its GPUs, of a step, and of a profile that was fitted.
std::string cpu_text(const std::vector<Profiled>& steps, double read_rate);
std::string gpu_text(const std::string& name, const GpuCeilings& ceilings);
std::string step_text(const Profiled& profiled);
std::string fit_text(const DeviceFit& fit);

}  // namespace lathe::cli
