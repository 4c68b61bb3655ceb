#include "lathe/tensor/runtime.h"

#include "lathe/base/error.h"

namespace lathe {

namespace {
thread_local Runtime* current_runtime = nullptr;
}

std::string Device::name() const {
  return text(meta ? "meta:" : "", backend == Backend::cpu ? "cpu" : "cuda", ":", index);
}

Runtime::Runtime(Device on, int64_t capacity)
    : device(on),
      accelerator(open_accelerator(on)),
      arena(on, capacity, accelerator.get()),
      previous_(current_runtime) {
  current_runtime = this;
}

Runtime::~Runtime() { current_runtime = previous_; }

Runtime& Runtime::current() {
  if (!current_runtime) throw InternalError("no Runtime on this thread");
  return *current_runtime;
}

void Runtime::count(Work work) {
  ++totals.kernels;
  totals.flops += work.flops;
  totals.bytes_moved += work.bytes;
}

void begin_phase(std::string_view phase) {
  Runtime& runtime = Runtime::current();
  if (runtime.on_phase) runtime.on_phase(phase);
}

}  // namespace lathe
