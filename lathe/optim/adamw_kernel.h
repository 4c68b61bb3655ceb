#pragma once

#include <span>

#include "lathe/optim/update_state.h"

namespace lathe {

/// What is constant in a run, for one parameter.
struct AdamWRule {
  float beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f;
  float decay = 0;  ///< of the weight, as a multiple of the learning rate
};

/// One parameter in an update, all of as many elements: `gradient` f32 is read; `kept`, `first` and `second` f32 are
/// moved on; `value` bf16 gets what `kept` has become, unless empty.
struct AdamWPart {
  Tensor gradient, kept, first, second, value;
  AdamWRule rule;
};

/// One AdamW update (Loshchilov & Hutter 2019) of all elements of all parts, in one pass over their bytes, as `update`
/// (UpdateValues) says. `kept` is the first part's: it says where the kernel runs.
constinit inline Kernel<void(std::span<const AdamWPart> parts, const Tensor& update, Tensor& kept)> adamw_kernel{
    "adamw"};

/// Elements that one thread takes at a time on a CPU; fixed, so that no element's arithmetic depends on the number of
/// threads.
constexpr int64_t kAdamWChunk = 1 << 14;

}  // namespace lathe
