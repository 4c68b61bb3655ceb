#pragma once

#include <functional>

#include "lathe/tensor/dtype.h"

namespace lathe {

/// The least seconds of `run` within `at_least` seconds, after one run to warm up.
double best_seconds(double at_least, const std::function<void()>& run);

/// FLOPs a second that a product of two square matrices of `size` reaches here. Takes and gives back their bytes; not
/// while another Runtime of this thread is in an episode.
double matmul_rate(DType dtype, int64_t size, double seconds);
/// The same, measured in some 50 ms with 10 MB: what model FLOP use is a share of.
double measured_matmul_rate(DType dtype);

/// Bytes a second, read and written, that all threads reach together when they copy what no cache holds: 64 MiB, taken
/// and given back, in some 50 ms.
double measured_copy_rate();
/// The same for reading alone.
double measured_read_rate();

}  // namespace lathe
