#pragma once

#include <limits>
#include <utility>

#include "lathe/ops/attention_kernels.h"
#include "lathe/ops/attention_tiles.h"

/// What the forward and the backward attention kernels share: a tile of scores, transposed so that queries lie along
/// vectors. Keys and values are then read as they are, one number at a time, and no sum runs across a vector.
namespace lathe::LATHE_ISA {

/// Calls `run` with a number of the type of `tensor`, f32 or bf16, and the units that hold such numbers here.
template <class Run>
void visit_units(const Tensor& tensor, Run run) {
  if (tensor.dtype() == DType::f32) return run(float(), F32Units());
#ifdef LATHE_ISA_avx512
  if (multiplies_pairs()) return run(BF16(), BF16Units());
#endif
  run(BF16(), F32Units());
}

/// Hands out consecutive parts of a thread's workspace.
class Carver {
 public:
  explicit Carver(float* floats) : next_(floats) {}
  float* take(int64_t floats) { return std::exchange(next_, next_ + floats); }

 private:
  float* next_;
};

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kLowest = -1e30f;  ///< the maximum of no scores: finite, so that differences from it are numbers

/// tanh of x, products of queries and keys, times scale over soft cap.
inline Vector bent_score(Vector x, const AttentionSpec& spec) {
  // tanh(y) = 1 - 2 / (exp(2 y) + 1); beyond |y| = 40 it is 1 in f32
  Vector power = larger(all(-80), smaller(all(80), x * all(2 * kLog2e * spec.scale / spec.softcap)));
  return all(1) - all(2) / (exp2_of(power) + all(1));
}

/// Up to kQueryTile queries of one head and sequence: which keys each of them sees.
class QueryTile {
 public:
  QueryTile(const AttentionSpec& spec, const SequenceSpan& span, int64_t head, int64_t first_query)
      : first(first_query),
        count(std::min(kQueryTile, span.queries - first_query)),
        spec_(spec),
        keys_(span.keys),
        position_(first_query + span.shift()) {
    for (int64_t i = 0; i < kQueryTile; ++i) {
      Visible seen = i < count ? visible_keys(spec, position_ + i, keys_) : Visible{0, 0};
      seen_first_[i] = int32_t(seen.first);
      seen_last_[i] = int32_t(seen.last);
    }
    if (spec.bias) bias_ = spec.bias.data<float>() + head * spec.bias.shape()[1];
  }

  int64_t first_key_tile() const { return std::max(0, seen_first_[0]) / kKeyTile * kKeyTile; }
  int64_t last_key() const { return seen_last_[count - 1]; }
  int64_t panels() const { return (count + kPanel - 1) / kPanel; }
  /// Columns of `panel` that hold its queries, in whole vectors.
  int64_t columns(int64_t panel) const { return count - panel * kPanel > kLanes ? kPanel : kLanes; }
  /// Rows of the score tile from key `key` that any query of `panel` sees, in whole register tiles.
  int64_t rows(int64_t panel, int64_t key) const {
    int64_t last = seen_last_[std::min(panel * kPanel + kPanel, count) - 1];
    return std::clamp<int64_t>(padded(last - key, kRows), 0, kKeyTile);
  }

  /// Turns products of queries and keys into scores times log2(e): scale, soft cap, bias, and -inf where nothing is
  /// seen. `slopes`, if not null, gets what the soft cap leaves of gradients.
  void finish_panel(float* scores, int64_t panel, int64_t key, float* slopes) const {
    int64_t first_all = seen_first_[std::min(panel * kPanel + kPanel, count) - 1];  // seen by all queries of the panel:
    int64_t last_all = panel * kPanel + kPanel <= count ? seen_last_[panel * kPanel] : 0;
    for (int64_t row = 0, end = rows(panel, key); row < end; ++row) {
      float* line = scores + row * kQueryTile + panel * kPanel;
      scale_line(line, slopes ? slopes + row * kQueryTile + panel * kPanel : nullptr);
      if (bias_) add_bias(line, panel, key + row);
      if (key + row < first_all || key + row >= last_all) mask(line, panel, key + row);
    }
  }

  /// Column of the bias between query i of the tile and `key`.
  int64_t bias_column(int64_t i, int64_t key) const {
    return std::clamp<int64_t>(key - position_ - i + spec_.bias_zero, 0, spec_.bias.shape()[1] - 1);
  }

  const int64_t first, count;

 private:
  const AttentionSpec& spec_;
  int64_t keys_, position_;
  const float* bias_ = nullptr;
  int32_t seen_first_[kQueryTile], seen_last_[kQueryTile];

  void scale_line(float* line, float* slopes) const {
    bool capped = spec_.softcap > 0;
    for (int n = 0; n < kPanel; n += kLanes) {
      Vector x = load(line + n);
      if (!capped) {
        store(line + n, x * all(spec_.scale * kLog2e));
        continue;
      }
      Vector bent = bent_score(x, spec_);
      store(line + n, bent * all(spec_.softcap * kLog2e));
      if (slopes) store(slopes + n, all(1) - bent * bent);
    }
  }

  void add_bias(float* line, int64_t panel, int64_t key) const {
    for (int64_t n = 0; n < kPanel; ++n) line[n] += kLog2e * bias_[bias_column(panel * kPanel + n, key)];
  }

  void mask(float* line, int64_t panel, int64_t key) const {
    const int32_t *from = seen_first_ + panel * kPanel, *to = seen_last_ + panel * kPanel;
    int32_t at = int32_t(key);
    for (int64_t n = 0; n < kPanel; ++n) line[n] = ((at >= from[n]) & (at < to[n])) ? line[n] : kMinusInfinity;
  }
};

/// Elements of one head's rows: `data` is its first number in the first token of the sequence.
template <class T>
struct HeadRows {
  T* data;
  int64_t stride;
  T* row(int64_t token) const { return data + token * stride; }
};

template <class T>
struct SequenceHeads {
  SequenceHeads(const AttentionInput& in, int64_t sequence, int64_t head) : span(sequence_span(in, sequence)) {
    AttentionRows rows(in);
    int64_t dim = in.spec.head_dim, kv_head = head / (in.spec.heads / in.spec.kv_heads);
    query = span.query * rows.queries + head * dim;
    key = span.key * rows.keys + rows.first_key + kv_head * dim;
    value = span.key * rows.keys + rows.first_value + kv_head * dim;
    q = {in.q.data<T>() + query, rows.queries};
    k = {in.kv.data<T>() + key, rows.keys};
    v = {in.kv.data<T>() + value, rows.keys};
  }
  SequenceSpan span;
  int64_t query, key, value;  ///< elements from the tensor's begin; the same in gradients
  HeadRows<T> q, k, v;
};

}  // namespace lathe::LATHE_ISA
