#include <omp.h>

#include "lathe/ops/attention_scores.h"

namespace lathe::LATHE_ISA {
namespace {

/// Output of up to kQueryTile queries, by online softmax over tiles of keys (Milakov & Gimelshein 2018, Dao 2022).
template <class T, class Units>
class Forward {
 public:
  Forward(const AttentionInput& in, float* workspace)
      : in_(in), dim_(padded(in.spec.head_dim, 16)), depth_(dim_ / Units::kDepth) {
    Carver carve(workspace);
    queries_ = carve.take(dim_ * kQueryTile);
    sums_ = carve.take(dim_ * kQueryTile);
    keys_ = carve.take(dim_ * kKeyTile);
    values_ = carve.take(dim_ * kKeyTile);
    scores_ = carve.take(kKeyTile * kQueryTile);
    weights_ = Units::kDepth == 1 ? scores_ : carve.take(kKeyTile * kQueryTile / 2);
    highest_ = carve.take(kQueryTile);
    totals_ = carve.take(kQueryTile);
  }

  void run(int64_t sequence, int64_t head, int64_t first_query, Tensor& out, Tensor& logsumexp) {
    SequenceHeads<T> at(in_, sequence, head);
    if (first_query >= at.span.queries || reads_cache_once(in_, at.span)) return;
    QueryTile tile(in_.spec, at.span, head, first_query);
    begin(at, tile);
    for (int64_t key = tile.first_key_tile(); key < tile.last_key(); key += kKeyTile) {
      load_keys(at, key);
      for (int64_t panel = 0; panel < tile.panels(); ++panel) add_keys(tile, panel, key);
    }
    int64_t token = at.span.query + first_query;
    write(out.data<T>() + (token * in_.spec.heads + head) * in_.spec.head_dim, tile.count);
    if (logsumexp) write_logsumexp(logsumexp.data<float>() + head * in_.q.shape()[0] + token, tile.count);
  }

 private:
  const AttentionInput& in_;
  int64_t dim_, depth_;  ///< numbers and units of a padded head
  float *queries_,       ///< units [depth, kQueryTile]
      *sums_,            ///< f32 [dim, kQueryTile]: weighted values
      *keys_,            ///< units [kKeyTile, depth]
      *values_,          ///< units [kKeyTile / kDepth, dim]
      *scores_,          ///< f32 [kKeyTile, kQueryTile]
      *weights_,         ///< units [kKeyTile / kDepth, kQueryTile]
      *highest_, *totals_;

  void begin(const SequenceHeads<T>& at, const QueryTile& tile) {
    int64_t lanes = padded(tile.count, kLanes);  // the others are in no column of a panel
    copy_rows<Units>(at.q.row(tile.first), at.q.stride, tile.count, in_.spec.head_dim, sums_, lanes, dim_);
    transpose(sums_, depth_, queries_, kQueryTile, lanes, depth_);
    std::fill(sums_, sums_ + dim_ * kQueryTile, 0.0f);
    std::fill(highest_, highest_ + kQueryTile, kLowest);
    std::fill(totals_, totals_ + kQueryTile, 0.0f);
  }

  void load_keys(const SequenceHeads<T>& at, int64_t key) {
    int64_t count = std::min(kKeyTile, at.span.keys - key), width = in_.spec.head_dim,
            padded_count = padded(count, kRows);
    copy_rows<Units>(at.k.row(key), at.k.stride, count, width, keys_, padded_count, dim_);
    float* rows = Units::kDepth == 1 ? values_ : values_ + dim_ * kKeyTile / 2;
    copy_rows<Units>(at.v.row(key), at.v.stride, count, width, rows, padded_count, dim_);
    if constexpr (Units::kDepth == 2) pair_rows<Units>(rows, values_, padded_count, dim_);
  }

  void add_keys(const QueryTile& tile, int64_t panel, int64_t key) {
    int64_t rows = tile.rows(panel, key), column = panel * kPanel, columns = tile.columns(panel);
    if (rows == 0) return;
    product<Units, false>({keys_, depth_}, {queries_ + column, kQueryTile}, scores_ + column, kQueryTile, rows, columns,
                          depth_, false);
    tile.finish_panel(scores_, panel, key, nullptr);
    for (int64_t lane = column; lane < column + columns; lane += kLanes) weigh(lane, rows);
    if constexpr (Units::kDepth == 2)
      round_and_pair<Units>(scores_ + column, kQueryTile, weights_ + column, nullptr, rows, columns);
    product<Units, true>({values_, dim_}, {weights_ + column, kQueryTile}, sums_ + column, kQueryTile, dim_, columns,
                         rows / Units::kDepth, true);
  }

  /// Scores to weights in the lanes from `lane`, relative to the maximum so far; earlier sums follow the maximum.
  void weigh(int64_t lane, int64_t rows) {
    Vector before = load(highest_ + lane), highest = before, total = all(0);
    for (int64_t row = 0; row < rows; ++row) highest = larger(highest, load(scores_ + row * kQueryTile + lane));
    for (int64_t row = 0; row < rows; ++row) {
      float* score = scores_ + row * kQueryTile + lane;
      Vector weight = exp2_of(load(score) - highest);
      store(score, weight);
      total = total + weight;
    }
    Vector fade = exp2_of(before - highest);
    store(highest_ + lane, highest);
    store(totals_ + lane, multiply_add(load(totals_ + lane), fade, total));
    for (int64_t d = 0; d < dim_; ++d) store(sums_ + d * kQueryTile + lane, load(sums_ + d * kQueryTile + lane) * fade);
  }

  void write(T* out, int64_t count) {
    int64_t lanes = padded(count, kLanes);
    for (int64_t i = 0; i < lanes; ++i) scores_[i] = totals_[i] > 0 ? 1 / totals_[i] : 0;
    for (int64_t d = 0; d < dim_; ++d)
      for (int64_t lane = 0; lane < lanes; lane += kLanes) {
        float* sum = sums_ + d * kQueryTile + lane;
        store(sum, load(sum) * load(scores_ + lane));
      }
    transpose(sums_, kQueryTile, queries_, dim_, dim_, lanes);
    for (int64_t i = 0; i < count; ++i)
      convert_row(queries_ + i * dim_, out + i * in_.spec.heads * in_.spec.head_dim, in_.spec.head_dim);
  }

  void write_logsumexp(float* to, int64_t count) const {
    for (int64_t i = 0; i < count; ++i)
      to[i] = totals_[i] > 0 ? highest_[i] / kLog2e + std::log(totals_[i]) : kMinusInfinity;
  }
};

template <class T, class Units>
void forward(const AttentionInput& in, Tensor& out, Tensor& logsumexp, Tensor& workspace) {
  int64_t tiles = (in.longest_queries + kQueryTile - 1) / kQueryTile;
#pragma omp parallel
  {
    Forward<T, Units> work(in, workspace.data<float>() + omp_get_thread_num() * workspace.shape()[1]);
#pragma omp for collapse(3) schedule(dynamic)
    for (int64_t sequence = 0; sequence < in.sequences(); ++sequence)
      for (int64_t head = 0; head < in.spec.heads; ++head)
        for (int64_t tile = 0; tile < tiles; ++tile) work.run(sequence, head, tile * kQueryTile, out, logsumexp);
  }
}

void attention_simd(const AttentionInput& in, Tensor& out, Tensor& logsumexp, Tensor& workspace) {
  check_offsets(in);
  visit_units(out, [&]<class T, class Units>(T, Units) { forward<T, Units>(in, out, logsumexp, workspace); });
}

const bool provided = attention_kernel.provide(Isa::LATHE_ISA, attention_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
