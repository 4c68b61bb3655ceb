#pragma once

#include "lathe/plan/roofline.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// What this machine can do at best, measured now with all threads in some 100 ms: multiply-adds in registers alone, in
/// the instructions that products of `dtype` use, and copying what no cache holds. Takes and gives back 64 MiB; not
/// while another Runtime of this thread is in an episode. Other programs that run meanwhile blur it.
Ceilings measured_ceilings(DType dtype);

/// Bytes a second that all threads together read of what no cache holds: the ceiling of decoding.
double measured_read_rate();

/// Floats that one thread of peak_kernel works on.
constexpr int64_t kPeakLanes = 192;

/// `rounds` multiply-adds of every element of values f32 [threads, kPeakLanes]; with `pairs`, of two bf16 products
/// each.
constinit inline Kernel<void(int64_t rounds, bool pairs, Tensor& values)> peak_kernel{"peak"};

}  // namespace lathe
