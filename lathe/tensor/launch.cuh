#pragma once
// What every .cu needs to launch kernels: the stream, and checks. Device code and the files that launch it include
// this.

#include <cuda_runtime.h>

#include <algorithm>

#include "lathe/tensor/tensor.h"

namespace lathe {

/// Throws Error, naming the call, unless CUDA succeeded.
void check_cuda(cudaError_t result, const char* call);

/// The stream of the Runtime that `written` lives on.
inline cudaStream_t stream_of(const Tensor& written) {
  return static_cast<cudaStream_t>(written.storage().runtime().accelerator->stream());
}

/// After a launch: throws Error when it was refused. What goes wrong while it runs shows at the next wait.
inline void check_launch(const char* kernel) { check_cuda(cudaGetLastError(), kernel); }

constexpr int kMostShared = 227 * 1024;  ///< bytes of shared memory that a block may have (compute capability 9.0)

/// Lets a kernel have more than 48 KiB of them.
inline void allow_shared(const void* kernel, int bytes) {
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "shared memory");
}

constexpr int kThreads = 256;          ///< of a block, where nothing else is said
constexpr int64_t kMostBlocks = 2112;  ///< 16 for each of 132 multiprocessors: a loop in the kernel does the rest

/// Blocks for a grid-stride loop over `count` items, kThreads at a time.
inline unsigned blocks_for(int64_t count) {
  return unsigned(std::clamp<int64_t>((count + kThreads - 1) / kThreads, 1, kMostBlocks));
}

}  // namespace lathe
