#pragma once

#include "lathe/tensor/dtype.h"

namespace lathe {

/// FLOPs a second that a square matrix product reaches here, measured in some 30 ms: what model FLOP use is a share of.
/// Takes and gives back 10 MB; not while another Runtime of this thread is in an episode.
double measured_matmul_rate(DType dtype);

}  // namespace lathe
