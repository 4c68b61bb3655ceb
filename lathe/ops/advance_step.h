#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// See advance_step().
constinit inline Kernel<void(const Tensor& chosen, Tensor& tokens, Tensor& positions, Tensor& slots, Tensor& lengths)>
    advance_step_kernel{"advance_step"};

/// What a step with one new token a sequence read becomes what the next one reads: the tokens that were `chosen`, one
/// position and slot further. Where nothing could be chosen, -1, token 0. All i32 [sequences]. Throws InternalError
/// where they are not.
void advance_step(const Tensor& chosen, Tensor& tokens, Tensor& positions, Tensor& slots, Tensor& lengths);

}  // namespace lathe
