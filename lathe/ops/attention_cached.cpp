#include <algorithm>
#include <utility>

#include "lathe/base/error.h"
#include "lathe/ops/attention_run.h"
#include "lathe/ops/attention_step.h"
#include "lathe/ops/attention_workspace.h"
#include "lathe/ops/cache_write.h"
#include "lathe/ops/rotary_cache.h"

namespace lathe {
namespace {

/// Queries of a cache. Throws Error where they do not fit.
AttentionInput cached_input(const Tensor& q, const Tensor& cache, const Tensor& query_offsets,
                            const CachedSequences& sequences, const AttentionSpec& spec) {
  check_attention_spec(spec);
  check_attention_heads("q", q, spec.heads, spec);
  check_attention_heads("cache", cache, 2 * spec.kv_heads, spec);
  require(q.dtype() == cache.dtype(), "attention: q is ", name_of(q.dtype()), " but the cache ",
          name_of(cache.dtype()));
  check_attention_numbers("query offsets", query_offsets, 2, -1);
  check_attention_numbers("cache starts", sequences.starts, 1, query_offsets.shape()[0] - 1);
  check_attention_numbers("cache lengths", sequences.lengths, 1, query_offsets.shape()[0] - 1);
  AttentionInput in =
      attention_input(q, cache, {query_offsets, 0, {}}, {sequences.starts, sequences.longest, {}}, spec);
  in.memory_lengths = sequences.lengths;
  return in;
}

/// Output and workspace of attention to a cache.
struct CachedOutput {
  explicit CachedOutput(const AttentionInput& in)
      : out(Tensor::empty({in.q.shape()[0], in.spec.heads * in.spec.head_dim}, in.q.dtype())),
        // the same allocation whatever the lengths: a step can be rehearsed at its largest
        workspace(
            attention_workspace(in, std::max(cached_floats(in.spec), forward_floats(in.spec)), cuda_cached_floats(in))),
        work{4 * in.q.shape()[0] * in.longest_keys * in.spec.heads * in.spec.head_dim,
             2 * out.bytes() + in.kv.bytes()} {}
  Tensor out, workspace;
  Work work;
};

}  // namespace

Tensor attention_cached(const Tensor& q, const Tensor& cache, const Tensor& query_offsets,
                        const CachedSequences& sequences, const AttentionSpec& spec) {
  AttentionInput in = cached_input(q, cache, query_offsets, sequences, spec);
  CachedOutput to(in);
  Tensor none;
  bool tiles = on_cuda(in) ? !decodes(in) : in.longest_queries > kCachedQueries, once = !on_cuda(in) || decodes(in);
  if (tiles) attention_kernel(std::exchange(to.work, {}), in, to.out, none, to.workspace);
  if (once) attention_cached_kernel(to.work, in, to.out, to.workspace);
  return to.out;
}

Tensor attention_cached(const Tensor& q, const Tensor& cache, const Tensor& query_offsets, const Tensor& cache_starts,
                        const Tensor& cache_lengths, const AttentionSpec& spec) {
  return attention_cached(q, cache, query_offsets, CachedSequences{cache_starts, cache_lengths, 0}, spec);
}

Tensor attention_step(const Tensor& qkv, const NewTokenPlaces& fresh, Tensor& cache, const CachedSequences& sequences,
                      const AttentionSpec& spec) {
  check_cache_write(qkv, fresh.slots, spec.heads, cache);
  int64_t tokens = qkv.shape()[0];
  if (!steps_at_once(qkv, fresh.offsets.shape()[0] - 1, spec)) {
    Tensor q = spec.rotary.dims ? rotary_cache(qkv, fresh.positions, spec.rotary, fresh.slots, spec.heads, cache)
                                : cache_write(qkv, fresh.slots, spec.heads, cache);
    return attention_cached(q, cache, fresh.offsets, sequences, spec);
  }
  if (spec.rotary.dims) check_rotary(qkv, fresh.positions, spec.heads + spec.kv_heads, spec.rotary);
  Tensor q = Tensor::empty({tokens, spec.heads, spec.head_dim}, qkv.dtype());  // as the other way allocates
  AttentionInput in = cached_input(q, cache, fresh.offsets, sequences, spec);
  CachedOutput to(in);
  attention_step_kernel(to.work, in, qkv, fresh.positions, cache, to.out, to.workspace);
  return to.out;
}

}  // namespace lathe
