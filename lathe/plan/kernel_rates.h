#pragma once

#include <span>

#include "lathe/plan/device_profile.h"

namespace lathe {

/// What of a job a kernel's rate depends on, besides the work of the call.
struct JobShape {
  DType dtype = DType::bf16;  ///< of its arithmetic
  int64_t head_dim = 0;       ///< of its attention
};

/// Estimates by the profile's rates: those of the job's dtype, and of the head size that is nearest. A profile without
/// rates has the H200's, scaled by the ceilings. Kernels that have none take 1.25 times as long as at the ceilings, and
/// a launch.
CallSeconds at_rates(const DeviceProfile& profile, JobShape shape);

/// One measured kind of call.
struct MeasuredCall {
  std::string kernel;
  JobShape shape;
  Work work;
  int64_t calls = 0;
  double seconds = 0;  ///< of one
};

/// The rates that fit all calls of each kernel best: none negative, least squares of what the total time is off, in
/// which a call weighs as 1 / its seconds. One rate a kernel and dtype, and a head size where the kernel is attention.
std::vector<KernelRate> fitted_rates(std::span<const MeasuredCall> calls);

/// The same rates with all times multiplied by `factor`.
void stretch(KernelRate& rate, double factor);

}  // namespace lathe
