#pragma once
// Programmatic dependent launch: a kernel that is launched for it begins while the one before it in the stream ends.
// Kernels launched as usual still wait for all before them.

namespace lathe {

/// Lets a kernel that is launched for it begin once all blocks of this one have called it. It will wait before it reads
/// what this one writes, so any kernel may call this at its start; it pays where the next one can prefetch.
__device__ inline void let_later_kernels_begin() { asm volatile("griddepcontrol.launch_dependents;"); }

/// Waits until the kernels before this one have ended and their writes can be seen. In a kernel that is launched to
/// begin early, each thread must call it before it touches what they read or write.
__device__ inline void wait_for_earlier_kernels() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

}  // namespace lathe
