#pragma once

#include "lathe/optim/update_state.h"

namespace lathe {

/// What is constant in a run, for one parameter.
struct AdamWRule {
  float beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f;
  float decay = 0;  ///< of the weight, as a multiple of the learning rate
};

/// One AdamW update (Loshchilov & Hutter 2019) of all elements, in one pass: gradient f32 and `update` (UpdateValues)
/// are read; kept, first and second f32 are moved on; `value` bf16 gets what `kept` has become, unless empty.
constinit inline Kernel<void(const Tensor& gradient, const Tensor& update, const AdamWRule& rule, Tensor& kept,
                             Tensor& first, Tensor& second, Tensor& value)>
    adamw_kernel{"adamw"};

/// Elements that one thread takes at a time; fixed, so that no element's arithmetic depends on the number of threads.
constexpr int64_t kAdamWChunk = 1 << 14;

}  // namespace lathe
