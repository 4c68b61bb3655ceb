#pragma once
// Attention of few new tokens to a long cache (flash-decoding, Dao et al. 2023). A block has up to 16 rows, which are
// the query heads of one key head for up to all new tokens of a sequence, and one of `splits` parts of the keys; each
// of its warps walks keys of its own, and what they found is combined in order.

#include "lathe/ops/attention_forward.cuh"
#include "lathe/tensor/dependent.cuh"

namespace lathe {

constexpr int kDecodeRows = 16;

/// Keys a warp takes at a time, and warps a block.
template <int dim>
constexpr int kDecodeKeys = dim <= 96 ? 32 : 16;
template <int dim>
constexpr int kDecodeWarps = dim <= 128 ? 8 : 4;

/// Shared memory of a block: queries, then twice keys and values of each warp. What the warps found takes the place of
/// keys and values when all are read.
template <int dim>
struct DecodeShared {
  static constexpr int kWarps = kDecodeWarps<dim>, kKeys = kDecodeKeys<dim>;
  static constexpr int kQueries = SharedRows<dim>::values(kDecodeRows), kStage = SharedRows<dim>::values(kKeys);
  static constexpr int kFound = kDecodeRows * (dim + 2);  ///< floats of a warp
  static constexpr int kBytes = (kQueries + kWarps * 4 * kStage) * int(sizeof(bf16));
  static_assert(kFound * int(sizeof(float)) <= 4 * kStage * int(sizeof(bf16)));
  __device__ explicit DecodeShared(void* memory) : q(static_cast<bf16*>(memory)), kv(q + kQueries) {}
  __device__ bf16* keys(int warp, int stage) const { return kv + (warp * 4 + 2 * stage) * kStage; }
  /// [row][dim], then maxima and sums.
  __device__ float* found(int warp) const { return reinterpret_cast<float*>(kv) + warp * 2 * kStage; }
  bf16 *q, *kv;
};

/// Where a split's results go: f32 [splits, tokens, heads, dim + 2], the last two maximum and sum.
struct DecodeParts {
  float* parts;
  int splits;
};

/// The sequence, key head and keys of a block.
struct DecodeTask {
  int sequence, kv_head, split, queries, first_query, shift, start, keys;
  int first, last;  ///< keys of this block, from the sequence's first

  __device__ DecodeTask(const SequenceLayout& layout, int splits, int at_once) {
    sequence = int(blockIdx.z), kv_head = int(blockIdx.y), split = int(blockIdx.x);
    queries = layout.queries_of(sequence), first_query = layout.query_offsets[sequence];
    start = layout.memory_offsets[sequence], keys = layout.keys_of(sequence), shift = keys - queries;
    int begin = layout.window > 0 ? max(shift - layout.window + 1, 0) : 0;
    int each = ((keys - begin + splits - 1) / splits + at_once - 1) / at_once * at_once;
    first = min(begin + split * each, keys), last = min(first + each, keys);
  }
  /// What query i sees, from the sequence's first key.
  __device__ SeenKeys seen(const SequenceLayout& layout, int i) const {
    int position = i + shift;
    int to = layout.causal ? position + 1 : layout.window > 0 ? position + layout.window : keys;
    return {max(layout.window > 0 ? position - layout.window + 1 : 0, 0), min(to, keys), position, 0};
  }
};

/// The keys of one warp for 16 rows beginning at `first_row` of queries * group.
template <int dim, bool shaped>
struct DecodeWarp {
  static constexpr int kKeys = kDecodeKeys<dim>, kLine = 128 / int(sizeof(bf16));
  const AttentionView<bf16>& in;
  const SequenceLayout& layout;
  const DecodeTask& task;
  const DecodeShared<dim>& shared;
  int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  RunningSoftmax softmax{};
  float sums[dim / 8][4] = {};

  __device__ void fetch(int key, int stage) const {
    int64_t from = (task.start + key) * in.key_row + task.kv_head * dim;
    bf16* to = shared.keys(warp, stage);
    copy_rows_async<dim, kKeys, 32>(in.k + from, in.key_row, task.last - key, to);
    copy_rows_async<dim, kKeys, 32>(in.v + from, in.key_row, task.last - key, to + shared.kStage);
    copy_async_commit();
  }

  __device__ void take(int key, int stage, const SeenKeys (&seen)[2], const int (&heads)[2]) {
    float scores[kKeys / 8][4] = {}, kept[2];
    multiply_rows<dim, kKeys>(shared.q, shared.keys(warp, stage), scores);
    int column = key + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < kKeys / 8; ++i)
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        int at = column + 8 * i + c % 2, half = c / 2;
        float slope, score = scores[i][c] * in.scale;
        if constexpr (shaped) score = in.score(scores[i][c], heads[half], at - seen[half].self, slope);
        bool sees = at >= seen[half].first && at < min(seen[half].last, task.last);
        scores[i][c] = sees ? score * kLog2E : -INFINITY;
      }
    softmax.add(scores, kept);
#pragma unroll
    for (int i = 0; i < dim / 8; ++i)
#pragma unroll
      for (int c = 0; c < 4; ++c) sums[i][c] *= kept[c / 2];
    multiply_weights<dim, kKeys, dim>(scores, shared.keys(warp, stage) + shared.kStage, sums);
  }

  __device__ int first_key() const { return task.first + warp * kKeys; }
  /// Asks for the warp's first keys and values into the card's cache, before it is known that the last are there.
  __device__ void ask() const {
    int key = first_key() + lane;
    if (lane >= kKeys || key >= task.last) return;
    const bf16* from = in.k + (task.start + key) * in.key_row + task.kv_head * dim;
    for (int i = 0; i < dim; i += kLine) ask_for_line(from + i);
    from = in.v + (task.start + key) * in.key_row + task.kv_head * dim;
    for (int i = 0; i < dim; i += kLine) ask_for_line(from + i);
  }
  /// Begins to copy the first keys, while queries are still on their way.
  __device__ void begin() const {
    if (first_key() < task.last) fetch(first_key(), 0);
  }

  __device__ void run(int first_row) {
    SeenKeys seen[2];
    int heads[2];
    for (int half = 0; half < 2; ++half) {
      int row = first_row + lane / 4 + 8 * half, query = row / in.group;
      seen[half] = query < task.queries ? task.seen(layout, query) : SeenKeys{0, 0, 0, 0};
      heads[half] = task.kv_head * in.group + row % in.group;
    }
    constexpr int step = kKeys * kDecodeWarps<dim>;
    int key = first_key();
    for (int stage = 0; key < task.last; key += step, stage ^= 1) {
      __syncwarp();  // all lanes have read the other stage
      if (key + step < task.last) {
        fetch(key + step, stage ^ 1);
        copy_async_wait<1>();
      } else {
        copy_async_wait<0>();
      }
      __syncwarp();
      take(key, stage, seen, heads);
    }
    softmax.finish();
  }

  /// Called when no warp reads keys any more.
  __device__ void leave() const {
    float* found = shared.found(warp);
    for (int half = 0; half < 2; ++half) {
      int row = lane / 4 + 8 * half;
      for (int i = 0; i < dim / 8; ++i)
        for (int c = 0; c < 2; ++c) found[row * dim + 8 * i + 2 * (lane % 4) + c] = sums[i][2 * half + c];
      if (lane % 4) continue;
      found[kDecodeRows * dim + row] = softmax.highest[half];
      found[kDecodeRows * (dim + 1) + row] = softmax.total[half];
    }
  }
};

/// Combines `count` partial results, `apart` floats from one to the next; maxima are in units of log 2.
struct Combined {
  float highest, total, value;
};
__device__ inline Combined combine(const float* highest, const float* totals, const float* values, int count,
                                   int64_t apart) {
  Combined sum{-INFINITY, 0, 0};
  for (int n = 0; n < count; ++n) sum.highest = fmaxf(sum.highest, highest[n * apart]);
  if (sum.highest == -INFINITY) return sum;
  for (int n = 0; n < count; ++n) {
    float share = exp2_of(highest[n * apart] - sum.highest);
    sum.total += share * totals[n * apart];
    sum.value += share * values[n * apart];
  }
  return sum;
}

/// Grid [splits, kv heads, sequences], kDecodeWarps warps.
template <int dim, bool shaped>
__global__ void __launch_bounds__(kDecodeWarps<dim> * 32)
    attention_decode(AttentionView<bf16> in, SequenceLayout layout, DecodeParts to, bf16* out) {
  constexpr int warps = kDecodeWarps<dim>, threads = warps * 32, stride = SharedRows<dim>::kStride;
  extern __shared__ uint4 shared_memory[];
  DecodeShared<dim> shared(shared_memory);
  let_later_kernels_begin();
  DecodeTask task(layout, to.splits, kDecodeKeys<dim>);  // of what was uploaded, so read before waiting
  DecodeWarp<dim, shaped>{in, layout, task, shared}.ask();
  wait_for_earlier_kernels();
  for (int first_row = 0; first_row < task.queries * in.group; first_row += kDecodeRows) {
    __syncthreads();  // the last rows' readers are done
    DecodeWarp<dim, shaped> work{in, layout, task, shared};
    work.begin();
    for (int i = int(threadIdx.x); i < kDecodeRows * dim / 8; i += threads) {
      int row = i / (dim / 8), c = i % (dim / 8) * 8, query = (first_row + row) / in.group;
      const bf16* from = in.q + (task.first_query + query) * in.query_row +
                         (task.kv_head * in.group + (first_row + row) % in.group) * dim + c;
      bool any = query < task.queries;
      *reinterpret_cast<uint4*>(shared.q + row * stride + c) =
          any ? *reinterpret_cast<const uint4*>(from) : uint4{0, 0, 0, 0};
    }
    __syncthreads();
    work.run(first_row);
    __syncthreads();
    work.leave();
    __syncthreads();
    for (int i = int(threadIdx.x); i < kDecodeRows * dim; i += threads) {
      int row = i / dim, d = i % dim, query = (first_row + row) / in.group;
      if (query >= task.queries) continue;
      const float* found = shared.found(0);
      Combined sum = combine(found + kDecodeRows * dim + row, found + kDecodeRows * (dim + 1) + row, found + i, warps,
                             2 * shared.kStage);
      int64_t at =
          int64_t(task.first_query + query) * in.heads + task.kv_head * in.group + (first_row + row) % in.group;
      if (to.splits == 1) {
        out[at * dim + d] = __float2bfloat16_rn(sum.total > 0 ? sum.value / sum.total : 0);
        continue;
      }
      float* part = to.parts + (int64_t(task.split) * in.tokens * in.heads + at) * (dim + 2);
      part[d] = sum.value;
      if (d == 0) part[dim] = sum.highest, part[dim + 1] = sum.total;
    }
  }
}

/// Grid [tokens * heads], a thread for each of dim.
template <int dim>
__global__ void combine_splits(DecodeParts from, int64_t rows, bf16* out) {
  const float* part = from.parts + blockIdx.x * int64_t(dim + 2);
  take_turn();
  Combined sum = combine(part + dim, part + dim + 1, part + threadIdx.x, from.splits, rows * (dim + 2));
  out[blockIdx.x * int64_t(dim) + threadIdx.x] = __float2bfloat16_rn(sum.total > 0 ? sum.value / sum.total : 0);
}

}  // namespace lathe
