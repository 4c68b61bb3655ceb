#pragma once

#include <memory>
#include <vector>

#include "lathe/tensor/runtime.h"

namespace lathe {

/// What only CUDA can measure: times by events on the stream of one Runtime, and free memory.
class GpuGauge {
 public:
  virtual ~GpuGauge() = default;

  /// Work given from here on waits for about `seconds`, so that the host can run ahead of it.
  virtual void hold(double seconds) = 0;
  /// Notes when all work given so far is done.
  virtual void mark() = 0;
  /// Waits, and tells the seconds from each mark to the next since the last call.
  virtual std::vector<double> laps() = 0;
  /// Seconds that a kernel which does nothing adds to a graph of many of them.
  virtual double launch_in_graph() = 0;
  /// Bytes of the GPU that are free now.
  virtual int64_t free_bytes() = 0;
};

/// The gauge of `runtime`'s GPU; `runtime` must outlive it. Throws InternalError where there is none.
std::unique_ptr<GpuGauge> gpu_gauge(Runtime& runtime);

/// How the CUDA plugin supplies it.
bool provide_gpu_gauge(std::unique_ptr<GpuGauge> (*make)(Accelerator& accelerator));

}  // namespace lathe
