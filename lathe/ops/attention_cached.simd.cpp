#include <omp.h>

#include "lathe/ops/attention_scores.h"

namespace lathe::LATHE_ISA {
namespace {

/// Few queries of one sequence, for all heads that share keys. Keys lie along vectors here, where tiles of queries have
/// queries; every number is made by the same operations in the same order as there, so the bits are the same.
template <class T, class Units>
class FewQueries {
 public:
  FewQueries(const AttentionInput& in, float* workspace)
      : in_(in),
        dim_(padded(in.spec.head_dim, 16)),
        depth_(dim_ / Units::kDepth),
        group_(in.spec.heads / in.spec.kv_heads) {
    Carver carve(workspace);
    rows_ = carve.take(dim_ * kKeyTile);
    keys_ = carve.take(dim_ * kKeyTile);
    values_ = carve.take(dim_ * kKeyTile);
    scores_ = carve.take(kKeyTile);
    weights_ = Units::kDepth == 1 ? scores_ : carve.take(kKeyTile);
    int64_t most = kCachedQueries * group_;
    queries_ = carve.take(most * dim_);
    sums_ = carve.take(most * dim_);
    highest_ = carve.take(most);
    totals_ = carve.take(most);
  }

  void run(int64_t sequence, int64_t kv_head, Tensor& out) {
    SequenceHeads<T> at(in_, sequence, kv_head * group_);
    if (!reads_cache_once(in_, at.span) || at.span.queries == 0) return;
    int64_t rows = at.span.queries * group_;
    begin(at, rows);
    int64_t first = std::max<int64_t>(visible(at, 0).first, 0) / kKeyTile * kKeyTile;
    for (int64_t key = first, end = visible(at, at.span.queries - 1).last; key < end; key += kKeyTile) {
      load_keys(at, key);
      for (int64_t row = 0; row < rows; ++row) add_keys(at, row, kv_head, key);
    }
    for (int64_t row = 0; row < rows; ++row) {
      int64_t token = at.span.query + row / group_, head = kv_head * group_ + row % group_;
      write(row, out.data<T>() + (token * in_.spec.heads + head) * in_.spec.head_dim);
    }
  }

 private:
  const AttentionInput& in_;
  int64_t dim_, depth_, group_;
  float *rows_,   ///< a tile as it lies in the cache
      *keys_,     ///< units [depth, kKeyTile]
      *values_,   ///< units [kKeyTile / kDepth, dim]
      *scores_,   ///< f32 [kKeyTile]
      *weights_,  ///< units [kKeyTile / kDepth]
      *queries_,  ///< units [queries * group, depth]
      *sums_,     ///< f32 [queries * group, dim]: weighted values
      *highest_, *totals_;

  Visible visible(const SequenceHeads<T>& at, int64_t query) const {
    return visible_keys(in_.spec, query + at.span.shift(), at.span.keys);
  }

  void begin(const SequenceHeads<T>& at, int64_t rows) {
    for (int64_t row = 0; row < rows; ++row)
      copy_rows<Units>(at.q.row(row / group_) + row % group_ * in_.spec.head_dim, 0, 1, in_.spec.head_dim,
                       queries_ + row * depth_, 1, dim_);
    std::fill(sums_, sums_ + rows * dim_, 0.0f);
    std::fill(highest_, highest_ + rows, kLowest);
    std::fill(totals_, totals_ + rows, 0.0f);
  }

  void load_keys(const SequenceHeads<T>& at, int64_t key) {
    int64_t count = std::min(kKeyTile, at.span.keys - key), width = in_.spec.head_dim;
    copy_rows<Units>(at.k.row(key), at.k.stride, count, width, rows_, kKeyTile, dim_);
    transpose(rows_, depth_, keys_, kKeyTile, kKeyTile, depth_);
    float* values = Units::kDepth == 1 ? values_ : rows_;
    copy_rows<Units>(at.v.row(key), at.v.stride, count, width, values, kKeyTile, dim_);
    if constexpr (Units::kDepth == 2) pair_rows<Units>(values, values_, kKeyTile, dim_);
  }

  void add_keys(const SequenceHeads<T>& at, int64_t row, int64_t kv_head, int64_t key) {
    int64_t query = row / group_;
    Visible seen = visible(at, query);
    int64_t from = std::max<int64_t>(seen.first - key, 0), to = std::min(seen.last - key, kKeyTile);
    if (to <= 0) return;
    score(queries_ + row * depth_, padded(to, kLanes));
    if (in_.spec.bias) add_bias(kv_head * group_ + row % group_, key - query - at.span.shift());
    std::fill(scores_, scores_ + std::min(from, kKeyTile), kMinusInfinity);
    std::fill(scores_ + to, scores_ + kKeyTile, kMinusInfinity);
    weigh(row, to);
    add_values(sums_ + row * dim_, padded(to, Units::kDepth) / Units::kDepth);
  }

  /// Times log2(e).
  void score(const float* query, int64_t keys) {
    const AttentionSpec& spec = in_.spec;
    for (int64_t lane = 0; lane < keys; lane += kLanes) {
      Vector sum = all(0);
      for (int64_t d = 0; d < depth_; ++d)
        sum = Units::multiply_add_unit(query + d, load(keys_ + d * kKeyTile + lane), sum);
      store(scores_ + lane,
            spec.softcap > 0 ? bent_score(sum, spec) * all(spec.softcap * kLog2e) : sum * all(spec.scale * kLog2e));
    }
  }

  void add_bias(int64_t head, int64_t distance) {
    const float* bias = in_.spec.bias.data<float>() + head * in_.spec.bias.shape()[1];
    for (int64_t n = 0; n < kKeyTile; ++n)
      scores_[n] +=
          kLog2e * bias[std::clamp<int64_t>(distance + n + in_.spec.bias_zero, 0, in_.spec.bias.shape()[1] - 1)];
  }

  /// Scores to weights, relative to the maximum so far; earlier sums follow the maximum.
  void weigh(int64_t row, int64_t keys) {
    float before = highest_[row], highest = before, total = 0;
    for (int64_t i = 0; i < keys; ++i) highest = std::max(highest, scores_[i]);
    for (int64_t lane = 0; lane < kKeyTile; lane += kLanes)
      store(scores_ + lane, exp2_of(load(scores_ + lane) - all(highest)));
    for (int64_t i = 0; i < keys; ++i) total += scores_[i];
    Vector fade = exp2_of(all(before - highest));
    highest_[row] = highest;
    totals_[row] = std::fma(totals_[row], first_lane(fade), total);
    if constexpr (Units::kDepth == 2) convert_row(scores_, reinterpret_cast<BF16*>(weights_), kKeyTile);
    for (float *sum = sums_ + row * dim_, *end = sum + dim_; sum != end; sum += kLanes) store(sum, load(sum) * fade);
  }

  void add_values(float* sums, int64_t units) const {
    for (int64_t d = 0; d < dim_; d += kLanes) {
      Vector sum = all(0);
      for (int64_t n = 0; n < units; ++n)
        sum = Units::multiply_add_unit(weights_ + n, load(values_ + n * dim_ + d), sum);
      store(sums + d, load(sums + d) + sum);
    }
  }

  void write(int64_t row, T* out) {
    float* sums = sums_ + row * dim_;
    Vector part = all(totals_[row] > 0 ? 1 / totals_[row] : 0);
    for (int64_t d = 0; d < dim_; d += kLanes) store(sums + d, load(sums + d) * part);
    convert_row(sums, out, in_.spec.head_dim);
  }
};

constexpr int64_t kFewNumbers = 1 << 14;  ///< of a cache, that one thread reads sooner than two begin

template <class T, class Units>
void few_queries(const AttentionInput& in, Tensor& out, Tensor& workspace) {
  int64_t sequences = in.sequences();
#pragma omp parallel if (sequences * in.longest_keys * in.spec.kv_heads * in.spec.head_dim > kFewNumbers)
  {
    FewQueries<T, Units> work(in, workspace.data<float>() + omp_get_thread_num() * workspace.shape()[1]);
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t sequence = 0; sequence < sequences; ++sequence)
      for (int64_t head = 0; head < in.spec.kv_heads; ++head) work.run(sequence, head, out);
  }
}

void attention_cached_simd(const AttentionInput& in, Tensor& out, Tensor& workspace) {
  check_offsets(in);
  visit_units(out, [&]<class T, class Units>(T, Units) { few_queries<T, Units>(in, out, workspace); });
}

const bool provided = attention_cached_kernel.provide(Isa::LATHE_ISA, attention_cached_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
