#pragma once
// Programmatic dependent launch: a kernel that is launched early begins while those before it in the stream end, and
// waits for them itself before it touches what they read or write. What it does until then costs no time: being
// launched, reading what is constant. Kernels launched as usual still wait for all before them.

#include <utility>

#include "lathe/tensor/launch.cuh"

namespace lathe {

/// Lets a kernel that is launched early begin once all blocks of this one have called it or have ended.
__device__ inline void let_later_kernels_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

/// Waits until the kernels before this one have ended and their writes can be seen. In a kernel that is launched early
/// each thread must call it before it touches what they read or write, and before it ends.
__device__ inline void wait_for_earlier_kernels() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Asks for the line that `from` lies in, into the card's cache. What is there by then does not matter, so it may be
/// done before waiting.
__device__ inline void ask_for_line(const void* from) { asm volatile("prefetch.global.L2 [%0];" ::"l"(from)); }

/// The beginning of a small kernel that is launched early.
__device__ inline void take_turn() {
  let_later_kernels_begin();
  wait_for_earlier_kernels();
}

/// Whether the device can (compute capability 9.0); all devices of a program are alike.
inline bool can_begin_early() {
  static const bool can = [] {
    int device = 0, major = 0;
    check_cuda(cudaGetDevice(&device), "asking for the device");
    check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "asking for the device");
    return major >= 9;
  }();
  return can;
}

/// Where a kernel runs.
struct Launch {
  dim3 grid;
  unsigned threads;
  cudaStream_t stream;
  int shared_bytes = 0;
};

/// Launches `kernel` early. Throws Error, naming the call, when that is refused.
template <class... Parameters, class... Arguments>
void launch_early(void (*kernel)(Parameters...), const Launch& where, const char* name, Arguments&&... arguments) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = where.grid;
  config.blockDim = where.threads;
  config.dynamicSmemBytes = size_t(where.shared_bytes);
  config.stream = where.stream;
  config.attrs = &early;
  config.numAttrs = can_begin_early() ? 1 : 0;
  check_cuda(cudaLaunchKernelEx(&config, kernel, Parameters(std::forward<Arguments>(arguments))...), name);
}

}  // namespace lathe
