#pragma once

#include "lathe/ops/attention_kernels.h"

namespace lathe {

/// What the ops of attention share: they check what they are given, then call these.

/// Throws Error when the numbers of `spec` contradict each other.
void check_attention_spec(const AttentionSpec& spec);
/// Throws Error unless x is f32 or bf16 [tokens, heads, head_dim of `spec`]. `what` is x to the user.
void check_attention_heads(const char* what, const Tensor& x, int64_t heads, const AttentionSpec& spec);
/// Throws Error unless `numbers` are i32 [exactly], or [least or more] where `exactly` is negative.
void check_attention_numbers(const char* what, const Tensor& numbers, int64_t least, int64_t exactly);

AttentionInput attention_input(const Tensor& q, const Tensor& kv, const Packed& queries, const Packed& memory,
                               const AttentionSpec& spec);
/// Pairs of a query and a key it sees.
int64_t visible_pairs(const AttentionInput& in, const Packed& queries, const Packed& memory);

bool on_cuda(const AttentionInput& in);
/// Floats for each thread of a CPU, or for the whole of a GPU.
Tensor attention_workspace(const AttentionInput& in, int64_t of_thread, int64_t of_gpu);

/// Calls attention_kernel with its workspace.
void run_attention(const AttentionInput& in, int64_t pairs, Tensor& out, Tensor& logsumexp);
/// Calls attention_backward_kernel with its workspace; an empty dbias is none. Only heads that `in` has of queries are
/// written to dq, and of keys and values to dkv; the two may be one tensor.
void run_attention_backward(const AttentionInput& in, int64_t pairs, const Tensor& out, const Tensor& logsumexp,
                            const Tensor& dout, Tensor& dq, Tensor& dkv, Tensor& dbias);

}  // namespace lathe
