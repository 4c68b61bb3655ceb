#pragma once

#include "lathe/tensor/kernel.h"
#include "lathe/tensor/random.h"

namespace lathe {

/// How dropout is drawn; constant for a call.
struct DropoutRule {
  uint64_t key;        ///< of the random stream
  uint32_t threshold;  ///< an element is kept when its 16 random bits are below
  float scale;         ///< what kept elements are multiplied with
};

/// out = kept ? x * scale : 0; x floating [rows, columns], token_keys i32 or i64 [rows]. out may be x. The 16 bits of
/// (token key t, column c): with g = c / 128, l = c % 16, v = c % 128 / 16, Philox 4x32-10 of counter
/// (t low, t high, 16 g + l, 0) gives four words; they are the low (v even) or high half of word v / 2.
constinit inline Kernel<void(const Tensor& x, const Tensor& token_keys, DropoutRule rule, Tensor& out)> dropout_kernel{
    "dropout"};

/// Each element is zero with probability p (to 16 bits), else divided by 1 - p (Srivastava et al. 2014).
///   x floating [tokens, columns], token_keys i32 or i64 [tokens]
/// Whether an element is kept depends on (random, its token's key, its column) alone: packing, splitting the batch and
/// recomputation repeat it, and nothing is stored. p = 0 gives x itself. Differentiable; recomputable.
Tensor dropout(const Tensor& x, float p, const Random& random, const Tensor& token_keys);

}  // namespace lathe
