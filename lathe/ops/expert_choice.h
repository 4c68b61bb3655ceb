#pragma once

#include "lathe/tensor/kernel.h"

namespace lathe {

/// experts i32 [tokens, chosen] = the largest logits of each row, the first of equals first; shares f32 of the same
/// shape = the softmax of those logits alone.
constinit inline Kernel<void(const Tensor& logits, Tensor& experts, Tensor& shares)> choose_experts_kernel{
    "choose_experts"};
/// dlogits of each row from what its shares get.
constinit inline Kernel<void(const Tensor& experts, const Tensor& shares, const Tensor& dshares, Tensor& dlogits)>
    choose_experts_backward_kernel{"choose_experts_backward"};
/// Sorts choices by expert, in order within each: offsets [experts + 1], tokens[row], and rows[choice], its place.
constinit inline Kernel<void(const Tensor& experts, Tensor& offsets, Tensor& tokens, Tensor& rows)> sort_choices_kernel{
    "sort_choices"};
/// out[t] = the sum of shares[t][j] * y[rows[t * chosen + j]].
constinit inline Kernel<void(const Tensor& y, const Tensor& rows, const Tensor& shares, Tensor& out)>
    mix_experts_kernel{"mix_experts"};
/// dy and dshares (which may be empty).
constinit inline Kernel<void(const Tensor& y, const Tensor& rows, const Tensor& shares, const Tensor& dout, Tensor& dy,
                             Tensor& dshares)>
    mix_experts_backward_kernel{"mix_experts_backward"};

/// Which experts each token goes through (Shazeer et al. 2017), and the rows that experts work on: each token `chosen`
/// times, sorted by expert. All i32 but the shares.
struct ExpertChoice {
  Tensor shares;   ///< f32 [tokens, chosen]; sum to 1; differentiable in the logits
  Tensor offsets;  ///< [experts + 1]: the rows of each expert
  Tensor tokens;   ///< [tokens * chosen]: the token of each row
  Tensor rows;     ///< [tokens * chosen]: the row of each choice
};

/// The `chosen` largest of logits [tokens, experts], floating, with the softmax over them. Throws Error when `chosen`
/// is not from 1 to experts.
ExpertChoice choose_experts(const Tensor& logits, int64_t chosen);

/// The sum of what a token's experts say, by their shares: y [tokens * chosen, columns] -> [tokens, columns].
/// Differentiable in y and the shares. Keeps y.
Tensor mix_experts(const Tensor& y, const ExpertChoice& choice);

}  // namespace lathe
