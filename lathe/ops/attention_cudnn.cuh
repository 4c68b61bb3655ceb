#pragma once

#include "lathe/ops/attention_workspace.h"

namespace lathe {

/// Attention by cuDNN, for sequences that are all as long as the longest, without window, soft cap and bias. Returns
/// false, having done nothing, for other inputs, and where cuDNN's library is missing, has no plan for the shape or
/// needs more workspace than there is. The first call of a shape makes the plan.
bool cudnn_forward(const AttentionInput& in, Tensor& out, Tensor& logsumexp, Tensor& workspace);

}  // namespace lathe
