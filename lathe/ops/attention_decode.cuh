#pragma once
// Attention of few new tokens to a long cache (flash-decoding, Dao et al. 2023). A block has up to 16 rows, which are
// the query heads of one key head for up to all new tokens of a sequence, and one of `splits` parts of the keys; each
// of its warps walks keys of its own, and what they found is combined in order. Where each sequence has one new token,
// the kernel may also rotate it and put it into the cache: older keys are then read before earlier kernels end.

#include "lathe/ops/attention_forward.cuh"
#include "lathe/ops/rotary.cuh"

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
  static constexpr int kFoundRow = dim + 8;  ///< floats of a row of sums, of which a warp's stores meet no bank twice
  static constexpr int kFound = kDecodeRows * (kFoundRow + 2);  ///< floats of a warp
  static constexpr int kBytes = (kQueries + kWarps * 4 * kStage) * int(sizeof(bf16));
  static_assert(kFound * int(sizeof(float)) <= 4 * kStage * int(sizeof(bf16)));
  __device__ explicit DecodeShared(void* memory) : q(static_cast<bf16*>(memory)), kv(q + kQueries) {}
  __device__ bf16* keys(int warp, int stage) const { return kv + (warp * 4 + 2 * stage) * kStage; }
  /// [row][kFoundRow], then maxima and sums.
  __device__ float* found(int warp) const { return reinterpret_cast<float*>(kv) + warp * 2 * kStage; }
  bf16 *q, *kv;
};

/// The one new token of each sequence, as it was projected: rotated here, and put into the cache's last slot in use.
struct NewTokens {
  const bf16* qkv;           ///< [sequences, heads + 2 kv_heads, head_dim]; null: all is in the cache
  const int32_t* positions;  ///< [sequences]
  bf16* cache;
  RotaryForm rotary;
};

/// Of a block's new token in shared memory: cosine and sine of each pair of a head at its position, key and value.
template <int dim>
struct NewToken {
  float2 turns[dim / 2];
  alignas(16) bf16 key[dim];
  alignas(16) bf16 value[dim];

  /// By the whole block.
  __device__ void find_turns(const NewTokens& fresh, const PairTurns& pairs, int sequence) {
    for (int pair = int(threadIdx.x); pair < fresh.rotary.half; pair += int(blockDim.x))
      turns[pair] = turn_at(fresh.positions[sequence], pairs.of_pair[pair], fresh.rotary.magnitude);
  }
  /// Elements c to c + 7 of `head`, rotated.
  __device__ uint4 pack(const RotaryForm& form, const bf16* head, int c) const {
    uint4 own = *reinterpret_cast<const uint4*>(head + c);
    if (c >= 2 * form.half) return own;
    alignas(16) bf16 values[8], others[8];
    *reinterpret_cast<uint4*>(values) = own;
    bool apart = !form.adjacent && form.half % 8 == 0, second = c >= form.half;
    if (apart) {
      *reinterpret_cast<uint4*>(others) =
          *reinterpret_cast<const uint4*>(head + (second ? c - form.half : c + form.half));
      c -= second ? form.half : 0;
    }
#pragma unroll
    for (int i = 0; i < 8; ++i)
      values[i] = apart ? turned(values[i], others[i], turns[c + i], second) : element(form, head, c + i);
    return *reinterpret_cast<const uint4*>(values);
  }

 private:
  __device__ static bf16 turned(bf16 own, bf16 other, float2 turn, bool second) {
    float x = to_float(own), y = to_float(other);
    return from_float<bf16>(second ? turned_second(y, x, turn) : turned_first(x, y, turn));
  }
  __device__ bf16 element(const RotaryForm& form, const bf16* head, int c) const {
    if (c >= 2 * form.half) return head[c];
    bool second = form.adjacent ? c % 2 == 1 : c >= form.half;
    int pair = form.adjacent ? c / 2 : c - (second ? form.half : 0), apart = form.adjacent ? 1 : form.half;
    return turned(head[c], head[second ? c - apart : c + apart], turns[pair], second);
  }
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
  int newest;       ///< the key that is not in the cache yet; behind all where it has them

  __device__ DecodeTask(const SequenceLayout& layout, int splits, int at_once, bool one_is_new) {
    sequence = int(blockIdx.z), kv_head = int(blockIdx.y), split = int(blockIdx.x);
    queries = layout.queries_of(sequence), first_query = layout.query_offsets[sequence];
    start = layout.memory_offsets[sequence], keys = layout.keys_of(sequence), shift = keys - queries;
    int begin = layout.window > 0 ? max(shift - layout.window + 1, 0) : 0;
    int each = ((keys - begin + splits - 1) / splits + at_once - 1) / at_once * at_once;
    first = min(begin + split * each, keys), last = min(first + each, keys);
    newest = one_is_new ? keys - 1 : keys;
  }
  __device__ bool has_newest() const { return first <= newest && newest < last; }
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
    int there = min(task.last, task.newest) - key;
    copy_rows_async<dim, kKeys, 32>(in.k + from, in.key_row, there, to);
    copy_rows_async<dim, kKeys, 32>(in.v + from, in.key_row, there, to + shared.kStage);
    copy_async_commit();
  }

  /// Puts the newest key and value beside the older ones of the tile from `key` on, which has zeros there.
  __device__ void place(const NewToken<dim>& newest, int key, int stage) const {
    if (task.newest < key || task.newest >= min(key + kKeys, task.last)) return;
    bf16* to = shared.keys(warp, stage) + (task.newest - key) * SharedRows<dim>::kStride;
    for (int c = lane * 8; c < dim; c += 32 * 8) {
      *reinterpret_cast<uint4*>(to + c) = *reinterpret_cast<const uint4*>(newest.key + c);
      *reinterpret_cast<uint4*>(to + shared.kStage + c) = *reinterpret_cast<const uint4*>(newest.value + c);
    }
    __syncwarp();
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

  __device__ void run(const NewToken<dim>& newest, int first_row) {
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
      place(newest, key, stage);
      take(key, stage, seen, heads);
    }
    softmax.finish();
  }

  /// Leaves what was found of the first `rows` rows. Called when no warp reads keys any more.
  __device__ void leave(int rows) const {
    float* found = shared.found(warp);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int row = lane / 4 + 8 * half;
      if (row >= rows) continue;
#pragma unroll
      for (int i = 0; i < dim / 8; ++i)
        *reinterpret_cast<float2*>(found + row * shared.kFoundRow + 8 * i + 2 * (lane % 4)) =
            float2{sums[i][2 * half], sums[i][2 * half + 1]};
      if (lane % 4) continue;
      found[kDecodeRows * shared.kFoundRow + row] = softmax.highest[half];
      found[kDecodeRows * (shared.kFoundRow + 1) + row] = softmax.total[half];
    }
  }
};

/// A row's results of all warps of the block, by one warp, to the output, or where splits leave theirs.
template <int dim>
__device__ void finish_row(const DecodeShared<dim>& shared, int row, const DecodeParts& to, int split, int64_t at,
                           int64_t rows, bf16* out) {
  constexpr int warps = kDecodeWarps<dim>, totals = kDecodeRows * shared.kFoundRow;
  int lane = int(threadIdx.x) % 32;
  const float* of_lane = shared.found(lane % warps) + totals + row;
  float highest = of_lane[0], most = highest;
#pragma unroll
  for (int distance = warps / 2; distance > 0; distance /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, distance));
  float share = most == -INFINITY ? 0 : exp2_of(highest - most), own_total = share * of_lane[kDecodeRows], total = 0;
  float shares[warps];
#pragma unroll
  for (int n = 0; n < warps; ++n) total += __shfl_sync(~0u, own_total, n), shares[n] = __shfl_sync(~0u, share, n);
  float* part = to.parts + (split * rows + at) * (dim + 2);
  for (int d = lane; d < dim; d += 32) {
    float value = 0;
#pragma unroll
    for (int n = 0; n < warps; ++n) value += shares[n] * shared.found(n)[row * shared.kFoundRow + d];
    if (to.splits == 1)
      out[at * dim + d] = __float2bfloat16_rn(total > 0 ? value / total : 0);
    else
      part[d] = value;
  }
  if (to.splits > 1 && lane == 0) part[dim] = most, part[dim + 1] = total;
}

/// Queries of `rows` rows from `first_row` on to shared memory, zeros behind them; with the first ones also the new key
/// and value, which a block that walks past them puts into the cache. By the whole block.
template <int dim>
__device__ void put_queries(const AttentionView<bf16>& in, const DecodeTask& task, const NewTokens& fresh,
                            NewToken<dim>& newest, int first_row, int rows, bf16* to) {
  constexpr int stride = SharedRows<dim>::kStride, packs = dim / 8, of_queries = kDecodeRows * packs;
  bool takes_new = fresh.qkv && first_row == 0 && task.has_newest();
  for (int i = int(threadIdx.x); i < of_queries + (takes_new ? 2 * packs : 0); i += int(blockDim.x)) {
    int row = i / packs, c = i % packs * 8;
    uint4 pack{0, 0, 0, 0};
    if (i < of_queries) {
      if (row < rows) {
        int query = (first_row + row) / in.group, head = task.kv_head * in.group + (first_row + row) - query * in.group;
        const bf16* from = in.q + (task.first_query + query) * in.query_row + head * dim;
        pack = fresh.qkv ? newest.pack(fresh.rotary, from, c) : *reinterpret_cast<const uint4*>(from + c);
      }
      *reinterpret_cast<uint4*>(to + row * stride + c) = pack;
      continue;
    }
    bool of_value = row > kDecodeRows;
    int kv_heads = in.heads / in.group, head = task.kv_head + (of_value ? kv_heads : 0);
    const bf16* from = fresh.qkv + task.sequence * in.query_row + (in.heads + head) * dim;
    pack = of_value ? *reinterpret_cast<const uint4*>(from + c) : newest.pack(fresh.rotary, from, c);
    *reinterpret_cast<uint4*>((of_value ? newest.value : newest.key) + c) = pack;
    *reinterpret_cast<uint4*>(fresh.cache + (task.start + task.newest) * in.key_row + head * dim + c) = pack;
  }
}

/// Grid [splits, kv heads, sequences], kDecodeWarps warps.
template <int dim, bool shaped>
__global__ void __launch_bounds__(kDecodeWarps<dim> * 32)
    attention_decode(AttentionView<bf16> in, SequenceLayout layout, DecodeParts to, NewTokens fresh,
                     const __grid_constant__ PairTurns turns, bf16* out) {
  extern __shared__ uint4 shared_memory[];
  __shared__ NewToken<dim> newest;
  DecodeShared<dim> shared(shared_memory);
  let_later_kernels_begin();
  // of what was written before this step, so read before waiting
  DecodeTask task(layout, to.splits, kDecodeKeys<dim>, fresh.qkv != nullptr);
  DecodeWarp<dim, shaped> first{in, layout, task, shared};
  if (fresh.qkv) {
    first.begin();
    newest.find_turns(fresh, turns, task.sequence);
    __syncthreads();
  } else {
    first.ask();
  }
  wait_for_earlier_kernels();
  int all_rows = task.queries * in.group, warp = int(threadIdx.x) / 32;
  for (int first_row = 0; first_row < all_rows; first_row += kDecodeRows) {
    int rows = min(all_rows - first_row, kDecodeRows);
    if (first_row > 0) __syncthreads();  // the last rows' readers are done
    DecodeWarp<dim, shaped> work = first;
    if (!fresh.qkv || first_row > 0) work.begin();
    put_queries<dim>(in, task, fresh, newest, first_row, rows, shared.q);
    __syncthreads();
    work.run(newest, first_row);
    __syncthreads();
    work.leave(rows);
    __syncthreads();
    for (int row = warp; row < rows; row += kDecodeWarps<dim>) {
      int query = (first_row + row) / in.group, head = task.kv_head * in.group + (first_row + row) - query * in.group;
      finish_row<dim>(shared, row, to, task.split, int64_t(task.first_query + query) * in.heads + head,
                      int64_t(in.tokens) * in.heads, out);
    }
  }
}

/// Combines the results of `count` splits, `apart` floats from one to the next; maxima are in units of log 2.
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

/// Grid [tokens * heads], a thread for each of dim.
template <int dim>
__global__ void combine_splits(DecodeParts from, int64_t rows, bf16* out) {
  const float* part = from.parts + blockIdx.x * int64_t(dim + 2);
  take_turn();
  Combined sum = combine(part + dim, part + dim + 1, part + threadIdx.x, from.splits, rows * (dim + 2));
  out[blockIdx.x * int64_t(dim) + threadIdx.x] = __float2bfloat16_rn(sum.total > 0 ? sum.value / sum.total : 0);
}

}  // namespace lathe
