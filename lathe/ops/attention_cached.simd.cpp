#include <omp.h>

#include "lathe/ops/attention_scores.h"

namespace lathe::LATHE_ISA {
namespace {

/// A vector of numbers from f32 or bf16.
inline Vector widened(const float* from) { return load(from); }
inline Vector widened(const BF16* from) {
#ifdef LATHE_ISA_avx512
  __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
#else
  __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
#endif
}

/// What one query makes of one range of keys: sums of weighted values, sum of weights, maximum; a row of partials.
struct Partial {
  float* values;
  int64_t dim;
  float& total() const { return values[dim]; }
  float& highest() const { return values[dim + 1]; }
};

/// Queries of one key head and sequence against one range of its keys.
template <class T>
class Range {
 public:
  Range(const AttentionInput& in, const SequenceHeads<T>& at, float* workspace)
      : in_(in), at_(at), dim_(in.spec.head_dim), whole_(dim_ / kLanes * kLanes) {
    Carver carve(workspace);
    scores_ = carve.take(kCachedRange);
    query_ = carve.take(padded(dim_, 16));
  }

  void run(int64_t query, const T* q, int64_t first, Partial to) {
    Visible seen = visible_keys(in_.spec, query + at_.span.shift(), at_.span.keys);
    int64_t from = std::max(first, seen.first), end = std::min(first + kCachedRange, seen.last);
    std::fill(to.values, to.values + dim_, 0.0f);
    to.total() = 0, to.highest() = kMinusInfinity;
    if (from >= end) return;
    convert_row(q, query_, dim_);
    for (int64_t key = from; key < end; ++key) scores_[key - from] = score(query, key);
    weigh(end - from, to);
    for (int64_t key = from; key < end; ++key) add_value(at_.v.row(key), scores_[key - from], to.values);
  }

  void set_bias(const float* row) { bias_ = row; }

 private:
  const AttentionInput& in_;
  const SequenceHeads<T>& at_;
  int64_t dim_, whole_;
  float *scores_, *query_;
  const float* bias_ = nullptr;

  /// Times log2(e).
  float score(int64_t query, int64_t key) const {
    const T* k = at_.k.row(key);
    Vector sums = all(0);
    for (int64_t d = 0; d < whole_; d += kLanes) sums = multiply_add(load(query_ + d), widened(k + d), sums);
    float dot = sum_lanes(sums);
    for (int64_t d = whole_; d < dim_; ++d) dot += query_[d] * float(k[d]);
    dot *= in_.spec.scale;
    if (in_.spec.softcap > 0) dot = in_.spec.softcap * std::tanh(dot / in_.spec.softcap);
    if (!bias_) return dot * kLog2e;
    int64_t distance = key - query - at_.span.shift() + in_.spec.bias_zero;
    return (dot + bias_[std::clamp<int64_t>(distance, 0, in_.spec.bias.shape()[1] - 1)]) * kLog2e;
  }

  void weigh(int64_t count, Partial to) {
    float highest = *std::max_element(scores_, scores_ + count), total = 0;
    std::fill(scores_ + count, scores_ + kCachedRange, kMinusInfinity);
    for (int64_t i = 0; i < count; i += kLanes) store(scores_ + i, exp2_of(load(scores_ + i) - all(highest)));
    for (int64_t i = 0; i < count; ++i) total += scores_[i];
    to.total() = total, to.highest() = highest;
  }

  void add_value(const T* v, float weight, float* sums) const {
    for (int64_t d = 0; d < whole_; d += kLanes)
      store(sums + d, multiply_add(all(weight), widened(v + d), load(sums + d)));
    for (int64_t d = whole_; d < dim_; ++d) sums[d] += weight * float(v[d]);
  }
};

/// All ranges of one query and head, in order.
template <class T>
void merge(const float* partials, int64_t ranges, int64_t stride, int64_t dim, T* out) {
  float highest = kMinusInfinity, total = 0;
  for (int64_t r = 0; r < ranges; ++r) highest = std::max(highest, partials[r * stride + dim + 1]);
  float sums[512];
  for (int64_t first = 0; first < dim; first += 512) {
    int64_t count = std::min<int64_t>(512, dim - first);
    std::fill(sums, sums + count, 0.0f);
    total = 0;
    for (int64_t r = 0; r < ranges; ++r) {
      const float* part = partials + r * stride;
      if (part[dim] == 0) continue;
      float fade = std::exp2(part[dim + 1] - highest);
      total += fade * part[dim];
      for (int64_t d = 0; d < count; ++d) sums[d] += fade * part[first + d];
    }
    for (int64_t d = 0; d < count; ++d) out[first + d] = T(total > 0 ? sums[d] / total : 0.0f);
  }
}

template <class T>
struct Cached {
  const AttentionInput& in;
  Tensor &out, &partials, &workspace;
  int64_t dim = in.spec.head_dim, heads = in.spec.heads, ranges = partials.shape()[1];
  int64_t group = heads / in.spec.kv_heads, stride = heads * (dim + 2);

  float* partial(int64_t row, int64_t range, int64_t head) const {
    return partials.data<float>() + (row * ranges + range) * stride + head * (dim + 2);
  }
  /// The first row of partials that belongs to `sequence`.
  int64_t first_row(int64_t sequence) const {
    int64_t row = 0;
    for (int64_t n = 0; n < sequence; ++n) {
      SequenceSpan span = sequence_span(in, n);
      row += reads_cache_once(in, span) ? span.queries : 0;
    }
    return row;
  }

  void read(int64_t sequence, int64_t range, int64_t kv_head) const {
    SequenceSpan span = sequence_span(in, sequence);
    if (!reads_cache_once(in, span) || range * kCachedRange >= std::max<int64_t>(span.keys, 1)) return;
    float* floats = workspace.data<float>() + omp_get_thread_num() * workspace.shape()[1];
    int64_t row = first_row(sequence);
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      SequenceHeads<T> at(in, sequence, head);
      Range<T> keys(in, at, floats);
      if (in.spec.bias) keys.set_bias(in.spec.bias.data<float>() + head * in.spec.bias.shape()[1]);
      for (int64_t i = 0; i < span.queries; ++i)
        keys.run(i, at.q.row(i), range * kCachedRange, {partial(row + i, range, head), dim});
    }
  }

  void write(int64_t sequence, int64_t head) const {
    SequenceSpan span = sequence_span(in, sequence);
    if (!reads_cache_once(in, span)) return;
    int64_t row = first_row(sequence), used = std::max<int64_t>((span.keys + kCachedRange - 1) / kCachedRange, 1);
    for (int64_t i = 0; i < span.queries; ++i)
      merge(partial(row + i, 0, head), used, stride, dim, out.data<T>() + ((span.query + i) * heads + head) * dim);
  }

  void run() const {
    int64_t sequences = in.sequences();
#pragma omp parallel if (sequences * in.longest_keys * heads * dim > kFew)
    {
#pragma omp for collapse(3) schedule(dynamic)
      for (int64_t sequence = 0; sequence < sequences; ++sequence)
        for (int64_t range = 0; range < ranges; ++range)
          for (int64_t head = 0; head < in.spec.kv_heads; ++head) read(sequence, range, head);
#pragma omp for collapse(2) schedule(static)
      for (int64_t sequence = 0; sequence < sequences; ++sequence)
        for (int64_t head = 0; head < heads; ++head) write(sequence, head);
    }
  }

  static constexpr int64_t kFew = 1 << 14;  ///< numbers of a cache that one thread reads sooner than two begin
};

void attention_cached_simd(const AttentionInput& in, Tensor& out, Tensor& partials, Tensor& workspace) {
  check_offsets(in);
  if (out.dtype() == DType::f32)
    Cached<float>{in, out, partials, workspace}.run();
  else
    Cached<BF16>{in, out, partials, workspace}.run();
}

const bool provided = attention_cached_kernel.provide(Isa::LATHE_ISA, attention_cached_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
