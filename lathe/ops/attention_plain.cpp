#include <omp.h>

#include <cmath>
#include <limits>

#include "lathe/base/error.h"
#include "lathe/ops/attention_kernels.h"

namespace lathe {

SequenceSpan sequence_span(const AttentionInput& in, int64_t sequence) {
  const int32_t* queries = in.query_offsets.data<int32_t>() + sequence;
  const int32_t* memory = in.memory_offsets.data<int32_t>() + sequence;
  int64_t keys = in.memory_lengths ? in.memory_lengths.data<int32_t>()[sequence] : memory[1] - memory[0];
  return {queries[0], queries[1] - queries[0], memory[0], keys};
}

void check_offsets(const AttentionInput& in) {
  for (int64_t n = 0; n < in.sequences(); ++n) {
    SequenceSpan span = sequence_span(in, n);
    bool inside = span.query >= 0 && span.queries >= 0 && span.query + span.queries <= in.q.shape()[0] &&
                  span.key >= 0 && span.keys >= 0 && span.key + span.keys <= in.kv.shape()[0];
    if (!inside || span.queries > in.longest_queries || span.keys > in.longest_keys)
      throw InternalError(text("attention: sequence ", n, " has ", span.queries, " queries from ", span.query, " and ",
                               span.keys, " keys from ", span.key, ", of ", in.q.shape()[0], " and ", in.kv.shape()[0],
                               ", at most ", in.longest_queries, " and ", in.longest_keys));
  }
}

void sum_bias_parts(const Tensor& bias_parts, Tensor& dbias) {
  int64_t sequences = bias_parts.shape()[0], n = dbias.elements();
  const float* parts = bias_parts.data<float>();
  for (int64_t i = 0; i < n; ++i) {
    float total = 0;
    for (int64_t sequence = 0; sequence < sequences; ++sequence) total += parts[sequence * n + i];
    dbias.data<float>()[i] = total;
  }
}

namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// One query head of one sequence, seen element by element: the oracle.
template <class T>
struct PlainHead {
  PlainHead(const AttentionInput& input, int64_t sequence, int64_t query_head)
      : spec(input.spec), rows(input), span(sequence_span(input, sequence)), head(query_head) {
    int64_t dim = spec.head_dim, kv_head = head / (spec.heads / spec.kv_heads);
    query_offset = span.query * rows.queries + head * dim;
    key_offset = span.key * rows.keys + rows.first_key + kv_head * dim;
    value_offset = span.key * rows.keys + rows.first_value + kv_head * dim;
    q = input.q.data<T>() + query_offset;
    k = input.kv.data<T>() + key_offset;
    v = input.kv.data<T>() + value_offset;
  }

  int64_t bias_column(int64_t i, int64_t j) const {
    return std::clamp<int64_t>(j - i - span.shift() + spec.bias_zero, 0, spec.bias.shape()[1] - 1);
  }
  /// Before the bias; `slope` is what the soft cap leaves of a gradient.
  float capped(int64_t i, int64_t j, float& slope) const {
    float dot = 0;
    for (int64_t d = 0; d < spec.head_dim; ++d) dot += float(q[i * rows.queries + d]) * float(k[j * rows.keys + d]);
    slope = 1;
    if (spec.softcap <= 0) return dot * spec.scale;
    float bent = std::tanh(dot * spec.scale / spec.softcap);
    slope = 1 - bent * bent;
    return spec.softcap * bent;
  }
  float score(int64_t i, int64_t j, float& slope) const {
    float plain = capped(i, j, slope);
    if (!spec.bias) return plain;
    return plain + spec.bias.data<float>()[head * spec.bias.shape()[1] + bias_column(i, j)];
  }
  Visible visible(int64_t i) const { return visible_keys(spec, i + span.shift(), span.keys); }

  const AttentionSpec& spec;
  AttentionRows rows;
  SequenceSpan span;
  int64_t head, query_offset, key_offset, value_offset;
  const T *q, *k, *v;
};

/// One row of output from running sums `values` [head_dim]; returns its logsumexp.
template <class T>
float forward_row(const PlainHead<T>& at, int64_t i, float* values, T* out) {
  Visible seen = at.visible(i);
  float highest = kNothing, total = 0, slope;
  for (int64_t j = seen.first; j < seen.last; ++j) highest = std::max(highest, at.score(i, j, slope));
  std::fill(values, values + at.spec.head_dim, 0.0f);
  for (int64_t j = seen.first; j < seen.last; ++j) {
    float weight = std::exp(at.score(i, j, slope) - highest);
    total += weight;
    for (int64_t d = 0; d < at.spec.head_dim; ++d) values[d] += weight * float(at.v[j * at.rows.keys + d]);
  }
  for (int64_t d = 0; d < at.spec.head_dim; ++d) out[d] = T(total > 0 ? values[d] / total : 0.0f);
  return total > 0 ? highest + std::log(total) : kNothing;
}

float* thread_floats(Tensor& workspace) {
  return workspace.data<float>() + omp_get_thread_num() * workspace.shape()[1];
}

template <class T>
void forward_sequence(const AttentionInput& in, int64_t sequence, int64_t head, float* values, Tensor& out,
                      Tensor& logsumexp) {
  PlainHead<T> at(in, sequence, head);
  for (int64_t i = 0; i < at.span.queries; ++i) {
    T* row = out.data<T>() + ((at.span.query + i) * in.spec.heads + head) * in.spec.head_dim;
    float sum = forward_row(at, i, values, row);
    if (logsumexp) logsumexp.data<float>()[head * in.q.shape()[0] + at.span.query + i] = sum;
  }
}

/// `once`: the sequences that reads_cache_once(), or all others.
void forward_sequences(const AttentionInput& in, bool once, Tensor& out, Tensor& logsumexp, Tensor& workspace) {
  check_offsets(in);
  visit_floating(out.dtype(), [&]<class T>(Element<T>) {
#pragma omp parallel for collapse(2) schedule(dynamic)
    for (int64_t sequence = 0; sequence < in.sequences(); ++sequence)
      for (int64_t head = 0; head < in.spec.heads; ++head)
        if (reads_cache_once(in, sequence_span(in, sequence)) == once)
          forward_sequence<T>(in, sequence, head, thread_floats(workspace), out, logsumexp);
  });
}

void attention_plain(const AttentionInput& in, Tensor& out, Tensor& logsumexp, Tensor& workspace) {
  forward_sequences(in, false, out, logsumexp, workspace);
}

/// f32 sums of one task, in its thread's workspace.
struct PlainSums {
  float *dq, *dk, *dv;
  float* dbias;  ///< or null
};

/// Adds one query's part of dk and dv to `sums`, and leaves its dq there.
template <class T>
void backward_row(const PlainHead<T>& at, int64_t i, float logsumexp, const T* out, const T* dout, PlainSums sums) {
  int64_t dim = at.spec.head_dim;
  Visible seen = at.visible(i);
  float delta = 0, slope;
  for (int64_t d = 0; d < dim; ++d) delta += float(out[d]) * float(dout[d]);
  std::fill(sums.dq, sums.dq + dim, 0.0f);
  for (int64_t j = seen.first; j < seen.last; ++j) {
    float weight = std::exp(at.score(i, j, slope) - logsumexp), dweight = 0;
    for (int64_t d = 0; d < dim; ++d) {
      sums.dv[j * dim + d] += weight * float(dout[d]);
      dweight += float(dout[d]) * float(at.v[j * at.rows.keys + d]);
    }
    float dscore = weight * (dweight - delta);
    if (sums.dbias) sums.dbias[at.bias_column(i, j)] += dscore;
    dscore *= slope * at.spec.scale;
    for (int64_t d = 0; d < dim; ++d) {
      sums.dq[d] += dscore * float(at.k[j * at.rows.keys + d]);
      sums.dk[j * dim + d] += dscore * float(at.q[i * at.rows.queries + d]);
    }
  }
}

template <class T>
void write_rows(const float* sums, T* out, int64_t count, int64_t dim, int64_t row) {
  for (int64_t j = 0; j < count; ++j)
    for (int64_t d = 0; d < dim; ++d) out[j * row + d] = T(sums[j * dim + d]);
}

struct PlainBackward {
  const AttentionInput& in;
  const Tensor &out, &logsumexp, &dout;
  Tensor &dq, &dkv, &bias_parts;

  template <class T>
  void one_head(int64_t sequence, int64_t head, PlainSums sums) const {
    PlainHead<T> at(in, sequence, head);
    int64_t dim = in.spec.head_dim;
    if (bias_parts) {
      sums.dbias = bias_parts.data<float>() + (sequence * in.spec.heads + head) * bias_parts.shape()[2];
      std::fill(sums.dbias, sums.dbias + bias_parts.shape()[2], 0.0f);
    }
    for (int64_t i = 0; i < at.span.queries; ++i) {
      int64_t token = at.span.query + i, row = (token * in.spec.heads + head) * dim;
      float sum = logsumexp.data<float>()[head * in.q.shape()[0] + token];
      backward_row(at, i, sum, out.data<T>() + row, dout.data<T>() + row, sums);
      write_rows(sums.dq, dq.data<T>() + at.query_offset + i * at.rows.queries, 1, dim, dim);
    }
  }

  template <class T>
  void one_group(int64_t sequence, int64_t kv_head, float* floats) const {
    int64_t dim = in.spec.head_dim, group = in.spec.heads / in.spec.kv_heads;
    PlainHead<T> at(in, sequence, kv_head * group);
    PlainSums sums{floats, floats + dim, floats + dim * (1 + in.longest_keys), nullptr};
    std::fill(sums.dk, sums.dk + at.span.keys * dim, 0.0f);
    std::fill(sums.dv, sums.dv + at.span.keys * dim, 0.0f);
    for (int64_t n = 0; n < group; ++n) one_head<T>(sequence, kv_head * group + n, sums);
    write_rows(sums.dk, dkv.data<T>() + at.key_offset, at.span.keys, dim, at.rows.keys);
    write_rows(sums.dv, dkv.data<T>() + at.value_offset, at.span.keys, dim, at.rows.keys);
  }
};

void attention_backward_plain(const AttentionInput& in, const Tensor& out, const Tensor& logsumexp, const Tensor& dout,
                              Tensor& dq, Tensor& dkv, Tensor& dbias, Tensor& bias_parts, Tensor& workspace) {
  check_offsets(in);
  PlainBackward work{in, out, logsumexp, dout, dq, dkv, bias_parts};
  visit_floating(out.dtype(), [&]<class T>(Element<T>) {
#pragma omp parallel for collapse(2) schedule(dynamic)
    for (int64_t sequence = 0; sequence < in.sequences(); ++sequence)
      for (int64_t head = 0; head < in.spec.kv_heads; ++head)
        work.one_group<T>(sequence, head, thread_floats(workspace));
  });
  if (dbias) sum_bias_parts(bias_parts, dbias);
}

void attention_cached_plain(const AttentionInput& in, Tensor& out, Tensor& workspace) {
  Tensor none;
  forward_sequences(in, true, out, none, workspace);
}

const bool provided = attention_kernel.provide(Isa::plain, attention_plain) &&
                      attention_backward_kernel.provide(Isa::plain, attention_backward_plain) &&
                      attention_cached_kernel.provide(Isa::plain, attention_cached_plain);

}  // namespace

int64_t forward_floats(const AttentionSpec& spec) {
  int64_t dim = padded(spec.head_dim, 16);
  return dim * (2 * kQueryTile + 2 * kKeyTile) + 2 * kQueryTile * kKeyTile + 8 * kQueryTile;
}

int64_t backward_floats(const AttentionSpec& spec, int64_t longest_keys) {
  int64_t dim = padded(spec.head_dim, 16);
  return dim * (5 * kQueryTile + 3 * kKeyTile) + 5 * kQueryTile * kKeyTile + 8 * kQueryTile +
         2 * dim * padded(longest_keys, kKeyTile);
}

int64_t cached_floats(const AttentionSpec& spec) {
  int64_t dim = padded(spec.head_dim, 16), rows = kCachedQueries * spec.heads / spec.kv_heads;
  return dim * (3 * kKeyTile + 2 * rows) + 2 * kKeyTile + 2 * rows;
}

}  // namespace lathe
