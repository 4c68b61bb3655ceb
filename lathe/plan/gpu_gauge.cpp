#include "lathe/plan/gpu_gauge.h"

#include "lathe/base/error.h"

namespace lathe {
namespace {

std::unique_ptr<GpuGauge> (*make_gauge)(Accelerator& accelerator) = nullptr;

}  // namespace

bool provide_gpu_gauge(std::unique_ptr<GpuGauge> (*make)(Accelerator& accelerator)) {
  make_gauge = make;
  return true;
}

std::unique_ptr<GpuGauge> gpu_gauge(Runtime& runtime) {
  if (!runtime.accelerator || !make_gauge) throw InternalError(text("no gauge for ", runtime.device.name()));
  return make_gauge(*runtime.accelerator);
}

}  // namespace lathe
