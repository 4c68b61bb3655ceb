#include "lathe/ops/global_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lathe/base/error.h"
#include "lathe/ops/attention_run.h"
#include "lathe/ops/parallel.h"
#include "lathe/ops/rows.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

void check(const Tensor& qkv, const Tensor& wide, const GlobalTokens& globals, const AttentionSpec& spec) {
  check_attention_spec(spec);
  check_attention_heads("qkv", qkv, spec.heads + 2 * spec.kv_heads, spec);
  require(!spec.causal && !spec.bias, "attention: global tokens are for texts that are read whole, without biases");
  check_attention_numbers("offsets of global tokens", globals.sequences.offsets, 2, -1);
  int64_t sequences = globals.sequences.offsets.shape()[0] - 1, count = globals.rows.elements();
  check_attention_numbers("offsets of pieces", globals.pieces.offsets, 3, 2 * sequences + 1);
  check_attention_numbers("rows of global tokens", globals.rows, 1, -1);
  check_attention_numbers("places of global tokens", globals.places, 1, qkv.shape()[0]);
  require(wide.dtype() == qkv.dtype() && wide.shape() == Shape({count, spec.heads * spec.head_dim}), "attention: wide ",
          name_of(wide.dtype()), ' ', wide.shape(), " does not fit ", count, " global tokens of qkv ",
          name_of(qkv.dtype()), ' ', qkv.shape());
}

/// Both parts of such an attention, as attention kernels take them.
struct Parts {
  AttentionInput window;   ///< pieces of sequences, each to itself
  AttentionInput globals;  ///< whole sequences to the keys and values of their global tokens
  int64_t window_pairs, global_pairs;
};

Tensor as_rows(const Tensor& x) { return x.alias({x.shape()[0], x.elements() / x.shape()[0]}); }

/// Those rows of q, k and v together, so that kernels find each of the three where it lies in all rows.
Tensor gathered(const Tensor& qkv, const Tensor& ids) {
  Tensor out = Tensor::empty({ids.elements(), qkv.shape()[1], qkv.shape()[2]}, qkv.dtype()), to = as_rows(out);
  gather_rows_kernel({0, 2 * out.bytes() + ids.bytes()}, as_rows(qkv), ids, to);
  return out;
}

Parts parts_of(const Tensor& qkv, const Packed& sequences, const GlobalTokens& globals, const AttentionSpec& spec) {
  AttentionSpec whole = spec;
  whole.window = 0;
  Parts parts{attention_input(qkv, qkv, globals.pieces, globals.pieces, spec),
              attention_input(qkv, gathered(qkv, globals.rows), sequences, globals.sequences, whole), 0, 0};
  parts.window_pairs = visible_pairs(parts.window, globals.pieces, globals.pieces);
  parts.global_pairs = visible_pairs(parts.globals, sequences, globals.sequences);
  return parts;
}

void join(const Parts& parts, const Tensor& wide, const Tensor& places, Tensor& out, Tensor& logsumexp) {
  Tensor other = Tensor::empty_like(out), other_logsumexp = Tensor::empty_like(logsumexp);
  run_attention(parts.globals, parts.global_pairs, other, other_logsumexp);
  Work work{4 * out.elements(), 3 * (out.bytes() + logsumexp.bytes()) + wide.bytes() + places.bytes()};
  join_attention_kernel(work, other, other_logsumexp, wide, places, out, logsumexp);
}

/// Each part by the weights that it has within the whole: its kernel reads the joined output and logsumexp.
Tensor gradient_of(const Parts& parts, const Tensor& rows, const Tensor& out, const Tensor& logsumexp,
                   const Tensor& dout) {
  Tensor dqkv = Tensor::empty_like(parts.window.q), none;
  run_attention_backward(parts.window, parts.window_pairs, out, logsumexp, dout, dqkv, dqkv, none);
  Tensor dq = zeros(dqkv.shape(), dqkv.dtype()), dkv = zeros(parts.globals.kv.shape(), dqkv.dtype());
  run_attention_backward(parts.globals, parts.global_pairs, out, logsumexp, dout, dq, dkv, none);
  accumulate(dq, dqkv);
  Tensor to = as_rows(dqkv);
  scatter_rows(as_rows(dkv), rows, to);
  return dqkv;
}

}  // namespace

Tensor attention_with_globals(const Tensor& qkv, const Tensor& wide, const Packed& sequences,
                              const GlobalTokens& globals, const AttentionSpec& spec) {
  check(qkv, wide, globals, spec);
  Parts parts = parts_of(qkv, sequences, globals, spec);
  int64_t tokens = qkv.shape()[0];
  Tensor out = Tensor::empty({tokens, spec.heads * spec.head_dim}, qkv.dtype());
  Tensor logsumexp = Tensor::empty({spec.heads, tokens});
  run_attention(parts.window, parts.window_pairs, out, logsumexp);
  join(parts, wide, globals.places, out, logsumexp);
  record({&out}, {&qkv, &wide},
         {[parts, rows = globals.rows, out = out.detached(), logsumexp](std::span<const Tensor> dy) -> Gradients {
           Tensor dwide = Tensor::empty({rows.elements(), out.shape()[1]}, out.dtype());
           gather_rows_kernel({0, 2 * dwide.bytes() + rows.bytes()}, dy[0], rows, dwide);
           return {gradient_of(parts, rows, out, logsumexp, dy[0]), dwide};
         }});
  return out;
}

namespace {

/// What one token's output for a head was made of, and is.
template <class T>
void join_head(const T* other, float other_logsumexp, int64_t width, T* out, float& logsumexp) {
  float highest = std::max(logsumexp, other_logsumexp);
  if (std::isinf(highest)) return;  // nothing is seen
  float own = std::exp(logsumexp - highest), others = std::exp(other_logsumexp - highest), sum = own + others;
  for (int64_t d = 0; d < width; ++d) out[d] = T((own * float(out[d]) + others * float(other[d])) / sum);
  logsumexp = highest + std::log(sum);
}

void join_attention_plain(const Tensor& other_out, const Tensor& other_logsumexp, const Tensor& wide,
                          const Tensor& places, Tensor& out, Tensor& logsumexp) {
  visit_floating(out.dtype(), [&]<class T>(Element<T>) {
    int64_t heads = logsumexp.shape()[0], tokens = logsumexp.shape()[1], width = out.shape()[1] / heads;
#pragma omp parallel for collapse(2) schedule(static) if (out.elements() > kParallelElements)
    for (int64_t token = 0; token < tokens; ++token)
      for (int64_t head = 0; head < heads; ++head) {
        T* row = out.data<T>() + (token * heads + head) * width;
        float& sum = logsumexp.data<float>()[head * tokens + token];
        int64_t place = places.data<int32_t>()[token];
        if (place >= 0) {
          std::copy_n(wide.data<T>() + (place * heads + head) * width, width, row);
          sum = std::numeric_limits<float>::infinity();
        } else {
          join_head(other_out.data<T>() + (token * heads + head) * width,
                    other_logsumexp.data<float>()[head * tokens + token], width, row, sum);
        }
      }
  });
}

const bool provided = join_attention_kernel.provide(Isa::plain, join_attention_plain);

}  // namespace
}  // namespace lathe
