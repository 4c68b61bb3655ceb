#pragma once

#include <array>
#include <chrono>
#include <type_traits>

#include "lathe/base/error.h"
#include "lathe/base/isa.h"
#include "lathe/tensor/tensor.h"

namespace lathe {

template <class Signature>
class Kernel;

/// The one place where an op meets its backends. A kernel reads `const Tensor&` arguments, writes `Tensor&` ones
/// (absent ones may be empty tensors), never allocates and never synchronizes. It runs where the first tensor it writes
/// lives; on a meta device the call counts the work and returns. On a CPU the variant for isa() runs, or the next
/// lower one there is. Declared `constinit inline` in the op's header; each implementation registers itself with
/// provide() at namespace scope, so no list names all kernels.
template <class... Args>
class Kernel<void(Args...)> {
 public:
  using Function = void (*)(Args...);

  constexpr explicit Kernel(const char* name) : name_(name) {}

  bool provide(Isa isa, Function function) {
    cpu_[size_t(isa)] = function;
    return true;
  }
  bool provide(Backend backend, Function function) {
    if (backend == Backend::cuda)
      cuda_ = function;
    else
      cpu_[0] = function;
    return true;
  }

  const char* name() const { return name_; }
  bool has(Isa isa) const { return cpu_[size_t(isa)] != nullptr; }
  bool has_cuda() const { return cuda_ != nullptr; }

  void operator()(Work work, std::type_identity_t<Args>... args) const {
    const Tensor* written = first_written(args...);
    Runtime& runtime = written ? written->storage().runtime() : Runtime::current();
    runtime.count(work);
    if (runtime.device.meta) {
      if (runtime.on_kernel) runtime.on_kernel(name_, work, 0);
      return;
    }
    Function function = find(runtime.device);
    Accelerator* accelerator = runtime.accelerator.get();
    if (accelerator && !accelerator->admits(this, written ? written->data<std::byte>() : nullptr)) return;
    if (!runtime.on_kernel) return function(args...);
    if (accelerator) accelerator->synchronize();
    auto start = std::chrono::steady_clock::now();
    function(args...);
    if (accelerator) accelerator->synchronize();
    runtime.on_kernel(name_, work, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }

 private:
  const char* name_;
  std::array<Function, 3> cpu_{};
  Function cuda_ = nullptr;

  Function find(Device device) const {
    if (device.backend == Backend::cuda && cuda_) return cuda_;
    if (device.backend == Backend::cpu)
      for (int level = int(isa()); level >= 0; --level)
        if (cpu_[size_t(level)]) return cpu_[size_t(level)];
    throw InternalError(text(name_, " has no kernel for ", device.name()));
  }

  static const Tensor* first_written(const std::type_identity_t<Args>&... args) {
    const Tensor* found = nullptr;
    (note<Args>(args, found), ...);
    return found;
  }
  template <class Arg, class T>
  static void note(const T& arg, const Tensor*& found) {
    if constexpr (std::is_same_v<Arg, Tensor&>) {
      if (!found && arg) found = &arg;
    }
  }
};

}  // namespace lathe
