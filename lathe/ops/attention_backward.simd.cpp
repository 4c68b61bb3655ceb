#include <omp.h>

#include "lathe/ops/attention_scores.h"

namespace lathe::LATHE_ISA {
namespace {

/// What backward reads and writes.
struct BackwardTensors {
  const Tensor &out, &logsumexp, &dout;
  Tensor &dq, &dkv, &bias_parts;
};

/// Gradients of one key head of one sequence and of all query heads that share it, scores computed again (Dao 2022).
/// Queries are taken a tile at a time; dk and dv of the whole sequence stay in the workspace, so each sum has one
/// order.
template <class T, class Units>
class Backward {
 public:
  Backward(const AttentionInput& in, const BackwardTensors& tensors, float* workspace)
      : in_(in), to_(tensors), dim_(padded(in.spec.head_dim, 16)), depth_(dim_ / Units::kDepth) {
    Carver carve(workspace);
    int64_t keys = padded(in.longest_keys, kKeyTile), head_tile = dim_ * kQueryTile, square = kKeyTile * kQueryTile;
    for (float** sums : {&dkeys_, &dvalues_}) *sums = carve.take(dim_ * keys);
    for (float** tile : {&query_rows_, &queries_, &dout_rows_, &dout_, &dqueries_}) *tile = carve.take(head_tile);
    for (float** tile : {&keys_, &key_pairs_, &values_}) *tile = carve.take(dim_ * kKeyTile);
    for (float** tile : {&scores_, &dscores_, &slopes_}) *tile = carve.take(square);
    weights_ = Units::kDepth == 1 ? scores_ : carve.take(square / 2);
    dweights_ = Units::kDepth == 1 ? dscores_ : carve.take(square / 2);
    dweight_pairs_ = Units::kDepth == 1 ? dscores_ : carve.take(square / 2);
    if (Units::kDepth == 1) key_pairs_ = keys_;
    logsumexp_ = carve.take(kQueryTile);
    delta_ = carve.take(kQueryTile);
  }

  void run(int64_t sequence, int64_t kv_head) {
    int64_t group = in_.spec.heads / in_.spec.kv_heads, width = in_.spec.head_dim;
    SequenceHeads<T> first(in_, sequence, kv_head * group);
    std::fill(dkeys_, dkeys_ + dim_ * padded(first.span.keys, kKeyTile), 0.0f);
    std::fill(dvalues_, dvalues_ + dim_ * padded(first.span.keys, kKeyTile), 0.0f);
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) run_head(sequence, head);
    write(dkeys_, in_.spec.scale, to_.dkv.data<T>() + first.key, first.k.stride, first.span.keys, width);
    write(dvalues_, 1, to_.dkv.data<T>() + first.value, first.k.stride, first.span.keys, width);
  }

 private:
  const AttentionInput& in_;
  const BackwardTensors& to_;
  int64_t dim_, depth_;                 ///< numbers and units of a padded head
  float *dkeys_, *dvalues_;             ///< f32 [keys, dim]
  float *query_rows_, *dout_rows_;      ///< units [kQueryTile / kDepth, dim]
  float *queries_, *dout_;              ///< units [depth, kQueryTile]
  float* dqueries_;                     ///< f32 [dim, kQueryTile]
  float *keys_, *values_;               ///< units [kKeyTile, depth]
  float* key_pairs_;                    ///< units [kKeyTile / kDepth, dim]
  float *scores_, *dscores_, *slopes_;  ///< f32 [kKeyTile, kQueryTile]
  float *weights_, *dweights_;          ///< units [kKeyTile, kQueryTile / kDepth]
  float* dweight_pairs_;                ///< units [kKeyTile / kDepth, kQueryTile]
  float *logsumexp_, *delta_;

  void run_head(int64_t sequence, int64_t head) {
    SequenceHeads<T> at(in_, sequence, head);
    float* dbias = nullptr;
    if (to_.bias_parts) {
      int64_t columns = to_.bias_parts.shape()[2];
      dbias = to_.bias_parts.data<float>() + (sequence * in_.spec.heads + head) * columns;
      std::fill(dbias, dbias + columns, 0.0f);
    }
    for (int64_t first = 0; first < at.span.queries; first += kQueryTile) {
      QueryTile tile(in_.spec, at.span, head, first);
      begin(at, tile, head);
      for (int64_t key = tile.first_key_tile(); key < tile.last_key(); key += kKeyTile) add_keys(at, tile, key, dbias);
      transpose(dqueries_, kQueryTile, queries_, dim_, dim_, kQueryTile);
      write(queries_, in_.spec.scale, to_.dq.data<T>() + at.query + first * at.q.stride, at.q.stride, tile.count,
            in_.spec.head_dim);
    }
  }

  void begin(const SequenceHeads<T>& at, const QueryTile& tile, int64_t head) {
    int64_t token = at.span.query + tile.first, width = in_.spec.head_dim, stride = in_.spec.heads * width;
    const T* out = to_.out.data<T>() + token * stride + head * width;
    const T* dout = to_.dout.data<T>() + token * stride + head * width;
    load_queries(at.q.row(tile.first), at.q.stride, tile.count, queries_, query_rows_);
    load_queries(dout, stride, tile.count, dout_, dout_rows_);
    std::fill(dqueries_, dqueries_ + dim_ * kQueryTile, 0.0f);
    const float* sums = to_.logsumexp.data<float>() + head * in_.q.shape()[0] + token;
    for (int64_t i = 0; i < kQueryTile; ++i) {
      bool sees = i < tile.count && sums[i] != kMinusInfinity;
      logsumexp_[i] = sees ? sums[i] * kLog2e : 0;
      delta_[i] = sees ? dot(out + i * stride, dout + i * stride, width) : 0;
    }
  }

  static float dot(const T* a, const T* b, int64_t count) {
    float lanes[kLanes] = {}, total = 0;
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
      for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += float(a[i + lane]) * float(b[i + lane]);
    for (; i < count; ++i) total += float(a[i]) * float(b[i]);
    for (float lane : lanes) total += lane;
    return total;
  }

  /// Rows of one head as both operands a product may want: across, and with neighbouring rows paired.
  void load_queries(const T* from, int64_t stride, int64_t count, float* across, float* paired) {
    float* rows = Units::kDepth == 1 ? paired : paired + dim_ * kQueryTile / 2;
    copy_rows<Units>(from, stride, count, in_.spec.head_dim, rows, kQueryTile, dim_);
    transpose(rows, depth_, across, kQueryTile, kQueryTile, depth_);
    if constexpr (Units::kDepth == 2) pair_rows<Units>(rows, paired, kQueryTile, dim_);
  }

  void add_keys(const SequenceHeads<T>& at, const QueryTile& tile, int64_t key, float* dbias) {
    int64_t count = std::min(kKeyTile, at.span.keys - key), width = in_.spec.head_dim;
    copy_rows<Units>(at.k.row(key), at.k.stride, count, width, keys_, kKeyTile, dim_);
    copy_rows<Units>(at.v.row(key), at.v.stride, count, width, values_, kKeyTile, dim_);
    if constexpr (Units::kDepth == 2) pair_rows<Units>(keys_, key_pairs_, kKeyTile, dim_);
    for (int64_t panel = 0; panel < tile.panels(); ++panel) {
      int64_t rows = tile.rows(panel, key);
      if (rows) add_panel(tile, panel, key, rows, dbias);
    }
    add_key_gradients(tile, key);
  }

  /// Weights and score gradients of one panel, and what they add to dq.
  void add_panel(const QueryTile& tile, int64_t panel, int64_t key, int64_t rows, float* dbias) {
    int64_t column = panel * kPanel;
    product<Units, false>({keys_, depth_}, {queries_ + column, kQueryTile}, scores_ + column, kQueryTile, rows, kPanel,
                          depth_, false);
    product<Units, false>({values_, depth_}, {dout_ + column, kQueryTile}, dscores_ + column, kQueryTile, rows, kPanel,
                          depth_, false);
    bool capped = in_.spec.softcap > 0;
    tile.finish_panel(scores_, panel, key, capped ? slopes_ : nullptr);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t lane = column; lane < column + kPanel; lane += kLanes) weigh(row * kQueryTile + lane, lane);
    if (dbias) add_bias(tile, column, key, rows, dbias);
    if (capped) apply_slopes(column, rows);
    if constexpr (Units::kDepth == 2) {
      round_and_pair<Units>(scores_ + column, kQueryTile, nullptr, weights_ + column / 2, rows, kPanel);
      round_and_pair<Units>(dscores_ + column, kQueryTile, dweight_pairs_ + column, dweights_ + column / 2, rows,
                            kPanel);
    }
    product<Units, true>({key_pairs_, dim_}, {dweight_pairs_ + column, kQueryTile}, dqueries_ + column, kQueryTile,
                         dim_, kPanel, rows / Units::kDepth, true);
  }

  void weigh(int64_t at, int64_t lane) {
    Vector weight = exp2_of(load(scores_ + at) - load(logsumexp_ + lane));
    store(scores_ + at, weight);
    store(dscores_ + at, weight * (load(dscores_ + at) - load(delta_ + lane)));
  }

  void add_bias(const QueryTile& tile, int64_t column, int64_t key, int64_t rows, float* dbias) {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = column; i < column + kPanel; ++i)
        dbias[tile.bias_column(i, key + row)] += dscores_[row * kQueryTile + i];
  }

  void apply_slopes(int64_t column, int64_t rows) {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t lane = column; lane < column + kPanel; lane += kLanes) {
        float* to = dscores_ + row * kQueryTile + lane;
        store(to, load(to) * load(slopes_ + row * kQueryTile + lane));
      }
  }

  /// What the tile's queries add to dk and dv. Rows of keys that the first panels do not see skip them.
  void add_key_gradients(const QueryTile& tile, int64_t key) {
    int64_t panel = 0, units = kQueryTile / Units::kDepth;
    for (int64_t row = 0; row < tile.rows(tile.panels() - 1, key); row += kRows) {
      while (tile.rows(panel, key) <= row) ++panel;
      int64_t unit = panel * kPanel / Units::kDepth, depth = tile.panels() * kPanel / Units::kDepth - unit;
      int64_t weight = row * units + unit, query = unit * dim_, sum = (key + row) * dim_;
      product<Units, false>({weights_ + weight, units}, {dout_rows_ + query, dim_}, dvalues_ + sum, dim_, kRows, dim_,
                            depth, true);
      product<Units, false>({dweights_ + weight, units}, {query_rows_ + query, dim_}, dkeys_ + sum, dim_, kRows, dim_,
                            depth, true);
    }
  }

  /// `count` rows [dim] of f32 sums, times `factor`, to rows of `width` numbers.
  void write(float* sums, float factor, T* to, int64_t stride, int64_t count, int64_t width) const {
    for (int64_t i = 0; i < count; ++i) {
      float* row = sums + i * dim_;
      for (int64_t d = 0; d < width; ++d) row[d] *= factor;
      convert_row(row, to + i * stride, width);
    }
  }
};

template <class T, class Units>
void backward(const AttentionInput& in, const BackwardTensors& tensors, Tensor& workspace) {
#pragma omp parallel
  {
    Backward<T, Units> work(in, tensors, workspace.data<float>() + omp_get_thread_num() * workspace.shape()[1]);
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t sequence = 0; sequence < in.sequences(); ++sequence)
      for (int64_t head = 0; head < in.spec.kv_heads; ++head) work.run(sequence, head);
  }
}

void attention_backward_simd(const AttentionInput& in, const Tensor& out, const Tensor& logsumexp, const Tensor& dout,
                             Tensor& dq, Tensor& dkv, Tensor& dbias, Tensor& bias_parts, Tensor& workspace) {
  check_offsets(in);
  BackwardTensors tensors{out, logsumexp, dout, dq, dkv, bias_parts};
  visit_units(out, [&]<class T, class Units>(T, Units) { backward<T, Units>(in, tensors, workspace); });
  if (dbias) sum_bias_parts(bias_parts, dbias);
}

const bool provided = attention_backward_kernel.provide(Isa::LATHE_ISA, attention_backward_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
