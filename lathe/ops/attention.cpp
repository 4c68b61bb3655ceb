#include "lathe/ops/attention.h"

#include <omp.h>

#include <cmath>

#include "lathe/base/error.h"
#include "lathe/ops/attention_run.h"
#include "lathe/ops/attention_workspace.h"
#include "lathe/tensor/tape.h"

namespace lathe {

void check_attention_spec(const AttentionSpec& spec) {
  require(spec.heads > 0 && spec.kv_heads > 0 && spec.head_dim > 0 && spec.heads % spec.kv_heads == 0,
          "attention: ", spec.heads, " query heads of ", spec.head_dim, " do not share ", spec.kv_heads,
          " key heads evenly; heads must be a positive multiple of kv_heads");
  require(spec.window >= 0 && spec.softcap >= 0, "attention: window ", spec.window, " and softcap ", spec.softcap,
          " must not be negative");
  if (!spec.bias) return;
  bool fits = spec.bias.dtype() == DType::f32 && spec.bias.shape().rank() == 2 && spec.bias.shape()[0] == spec.heads;
  require(fits && spec.bias.shape()[1] > 0, "attention: bias ", name_of(spec.bias.dtype()), " ", spec.bias.shape(),
          " does not fit ", spec.heads, " heads; it must be f32 [heads, distances]");
  require(spec.bias_zero >= 0 && spec.bias_zero < spec.bias.shape()[1], "attention: bias_zero ", spec.bias_zero,
          " is no column of bias ", spec.bias.shape());
}

void check_attention_heads(const char* what, const Tensor& x, int64_t heads, const AttentionSpec& spec) {
  bool fits = x.shape().rank() == 3 && x.shape()[1] == heads && x.shape()[2] == spec.head_dim;
  require(fits, "attention: ", what, " ", x.shape(), " does not fit ", spec.heads, " query and ", spec.kv_heads,
          " key heads of ", spec.head_dim, "; it must be [tokens, ", heads, ", ", spec.head_dim, "]");
  require(x.dtype() == DType::f32 || x.dtype() == DType::bf16, "attention: ", what, " is ", name_of(x.dtype()),
          ", not f32 or bf16");
}

void check_attention_numbers(const char* what, const Tensor& x, int64_t least, int64_t exactly) {
  require(x && x.dtype() == DType::i32 && x.shape().rank() == 1, "attention: ", what, " must be i32 [sequences + ",
          exactly < 0 ? "1]" : "0 or 1]");
  require(x.shape()[0] >= least && (exactly < 0 || x.shape()[0] == exactly), "attention: ", what, " ", x.shape(),
          " do not fit the other offsets [", std::max(exactly, least), "]");
}

AttentionInput attention_input(const Tensor& q, const Tensor& kv, const Packed& queries, const Packed& memory,
                               const AttentionSpec& spec) {
  AttentionInput in;
  in.q = q.detached();
  in.kv = kv.detached();
  in.query_offsets = queries.offsets;
  in.memory_offsets = memory.offsets;
  in.longest_queries = queries.longest > 0 ? std::min(queries.longest, q.shape()[0]) : q.shape()[0];
  in.longest_keys = memory.longest > 0 ? std::min(memory.longest, kv.shape()[0]) : kv.shape()[0];
  in.spec = spec;
  return in;
}

bool on_cuda(const AttentionInput& in) { return in.q.device().backend == Backend::cuda; }

Tensor attention_workspace(const AttentionInput& in, int64_t of_thread, int64_t of_gpu) {
  PurposeScope scope(Purpose::workspace);
  return on_cuda(in) ? Tensor::empty({1, of_gpu}) : Tensor::empty({omp_get_max_threads(), of_thread});
}

namespace {

/// Pairs over `queries` and `keys` of one sequence.
int64_t pairs_of_sequence(const AttentionSpec& spec, int64_t queries, int64_t keys) {
  int64_t pairs = 0;
  for (int64_t i = 0; i < queries; ++i) {
    Visible seen = visible_keys(spec, keys - queries + i, keys);
    pairs += std::max<int64_t>(seen.last - seen.first, 0);
  }
  return pairs;
}

/// Bytes of the tensors; the tiles of one sequence stay in the caches.
int64_t input_bytes(const AttentionInput& in) { return in.q.bytes() + (in.fused() ? 0 : in.kv.bytes()); }

}  // namespace

int64_t visible_pairs(const AttentionInput& in, const Packed& queries, const Packed& memory) {
  if (queries.host.size() > 1 && queries.host.size() == memory.host.size()) {
    int64_t pairs = 0;
    for (size_t n = 1; n < queries.host.size(); ++n)
      pairs += pairs_of_sequence(in.spec, queries.host[n] - queries.host[n - 1], memory.host[n] - memory.host[n - 1]);
    return pairs;
  }
  int64_t tokens = in.q.shape()[0], longest = std::max<int64_t>(in.longest_queries, 1), rest = tokens % longest;
  int64_t pairs = tokens / longest * pairs_of_sequence(in.spec, longest, in.longest_keys);
  return rest ? pairs + pairs_of_sequence(in.spec, rest, in.fused() ? rest : in.longest_keys) : pairs;
}

void run_attention(const AttentionInput& in, int64_t pairs, Tensor& out, Tensor& logsumexp) {
  Tensor workspace = attention_workspace(in, forward_floats(in.spec), interval_floats(in));
  Work work{4 * pairs * in.spec.heads * in.spec.head_dim,
            input_bytes(in) + out.bytes() + (logsumexp ? logsumexp.bytes() : 0)};
  attention_kernel(work, in, out, logsumexp, workspace);
}

void run_attention_backward(const AttentionInput& in, int64_t pairs, const Tensor& out, const Tensor& logsumexp,
                            const Tensor& dout, Tensor& dq, Tensor& dkv, Tensor& dbias) {
  Tensor bias_parts;
  if (dbias) {
    PurposeScope scope(Purpose::workspace);
    int64_t parts = on_cuda(in) ? cuda_bias_parts(in) : in.sequences();
    bias_parts = Tensor::empty({parts, in.spec.heads, in.spec.bias.shape()[1]});
  }
  Tensor workspace = attention_workspace(in, backward_floats(in.spec, in.longest_keys), cuda_backward_floats(in));
  Work work{10 * pairs * in.spec.heads * in.spec.head_dim, 2 * input_bytes(in) + 2 * out.bytes() + logsumexp.bytes()};
  attention_backward_kernel(work, in, out, logsumexp, dout, dq, dkv, dbias, bias_parts, workspace);
}

namespace {

Gradients gradients_of(const AttentionInput& in, int64_t pairs, const Tensor& out, const Tensor& logsumexp,
                       const Tensor& dout) {
  Tensor dq = Tensor::empty_like(in.q), dkv = in.fused() ? dq : Tensor::empty_like(in.kv), dbias;
  if (in.spec.bias && in.spec.bias.needs_gradient()) dbias = Tensor::empty_like(in.spec.bias);
  run_attention_backward(in, pairs, out, logsumexp, dout, dq, dkv, dbias);
  if (in.fused()) return {dq, dbias};
  return {dq, dkv, dbias};
}

Tensor attend(const Tensor& q, const Tensor& kv, AttentionInput in, int64_t pairs) {
  int64_t tokens = q.shape()[0];
  Tensor out = Tensor::empty({tokens, in.spec.heads * in.spec.head_dim}, q.dtype()), logsumexp;
  if (recording({&q, &kv, &in.spec.bias})) logsumexp = Tensor::empty({in.spec.heads, tokens});
  run_attention(in, pairs, out, logsumexp);
  BackwardRule rule;  // without `again`: it would take longest for the least bytes
  rule.run = [in, pairs, out, logsumexp](std::span<const Tensor> dy) {
    return gradients_of(in, pairs, out, logsumexp, dy[0]);
  };
  if (in.fused())
    record({&out}, {&q, &in.spec.bias}, std::move(rule));
  else
    record({&out}, {&q, &kv, &in.spec.bias}, std::move(rule));
  return out;
}

}  // namespace

Tensor attention(const Tensor& qkv, const Packed& sequences, const AttentionSpec& spec) {
  check_attention_spec(spec);
  check_attention_heads("qkv", qkv, spec.heads + 2 * spec.kv_heads, spec);
  check_attention_numbers("sequence offsets", sequences.offsets, 2, -1);
  AttentionInput in = attention_input(qkv, qkv, sequences, sequences, spec);
  return attend(qkv, qkv, in, visible_pairs(in, sequences, sequences));
}

Tensor attention(const Tensor& q, const Tensor& kv, const Packed& queries, const Packed& memory,
                 const AttentionSpec& spec) {
  check_attention_spec(spec);
  check_attention_heads("q", q, spec.heads, spec);
  check_attention_heads("kv", kv, 2 * spec.kv_heads, spec);
  require(q.dtype() == kv.dtype(), "attention: q is ", name_of(q.dtype()), " but kv ", name_of(kv.dtype()));
  check_attention_numbers("query offsets", queries.offsets, 2, -1);
  check_attention_numbers("memory offsets", memory.offsets, 2, queries.offsets.shape()[0]);
  AttentionInput in = attention_input(q, kv, queries, memory, spec);
  return attend(q, kv, in, visible_pairs(in, queries, memory));
}

Tensor attention(const Tensor& qkv, const Tensor& sequence_offsets, int64_t longest, const AttentionSpec& spec) {
  return attention(qkv, Packed{sequence_offsets, longest, {}}, spec);
}

Tensor attention(const Tensor& q, const Tensor& kv, const Tensor& query_offsets, const Tensor& memory_offsets,
                 const AttentionSpec& spec) {
  return attention(q, kv, Packed{query_offsets, 0, {}}, Packed{memory_offsets, 0, {}}, spec);
}

}  // namespace lathe
