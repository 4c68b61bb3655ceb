#pragma once
// The kernel that rotates heads by their token's position.

#include <numbers>

#include "lathe/base/error.h"
#include "lathe/ops/rotary.h"
#include "lathe/ops/row_packs.cuh"

namespace lathe {

constexpr int kMostPairs = 256;    ///< of a head
constexpr int kMostThreads = 128;  ///< of a token

/// Turns from one position to the next, of each pair: constants of the launch.
struct PairTurns {
  double of_pair[kMostPairs];
};

inline PairTurns turns_of(const RotarySpec& spec) {
  require(spec.dims / 2 <= kMostPairs, "rotary: on a GPU at most ", 2 * kMostPairs, " values of a head, not ",
          spec.dims);
  PairTurns turns;
  for (int64_t pair = 0; pair < spec.dims / 2; ++pair)
    turns.of_pair[pair] = rotary_frequency(spec, pair) / (2 * std::numbers::pi);
  return turns;
}

/// How a head is rotated.
struct RotaryForm {
  int half;       ///< pairs of a head
  bool adjacent;  ///< pairs (2i, 2i + 1)
  float magnitude;
};

inline RotaryForm form_of(const RotarySpec& spec) {
  return {int(spec.dims / 2), spec.interleaved, float(rotary_magnitude(spec))};
}

/// Cosine and sine, times the magnitude, of the angle at `position`. Whole turns are taken off in f64, which an angle
/// at position 100,000 needs.
__device__ inline float2 turn_at(int32_t position, double turn_of_pair, float magnitude) {
  double turned = double(position) * turn_of_pair;
  float sine, cosine;
  sincospif(2.0f * float(turned - rint(turned)), &sine, &cosine);
  return {magnitude * cosine, magnitude * sine};
}

/// The elements of a pair, turned: with the same rounding wherever it is done.
__device__ inline float turned_first(float first, float second, float2 turn) {
  return fmaf(first, turn.x, -(second * turn.y));
}
__device__ inline float turned_second(float first, float second, float2 turn) {
  return fmaf(second, turn.x, first * turn.y);
}

/// x [tokens, heads, head_dim], of which the first `kept_heads` go to out [tokens, kept_heads, head_dim], the others to
/// their token's slot of cache [slots, heads - kept_heads, head_dim].
template <class T>
struct RotaryInput {
  const T* x;
  const int32_t* positions;
  T* out;
  int64_t rotated_heads, heads, head_dim;
  RotaryForm form;
  float sign;
  int64_t kept_heads;
  const int32_t* slots = nullptr;
  T* cache = nullptr;

  /// Of this block's token.
  __device__ T* to(int64_t head) const {
    if (head < kept_heads) return out + (blockIdx.x * kept_heads + head) * head_dim;
    return cache + (slots[blockIdx.x] * (heads - kept_heads) + head - kept_heads) * head_dim;
  }
};

template <int size, class T>
__device__ void turn_apart(const RotaryInput<T>& in, const float2* turns, const T* x) {
  int packs = in.form.half / size, all = int(in.rotated_heads) * packs;
  for (int i = int(threadIdx.x); i < all; i += int(blockDim.x)) {
    int head = i / packs, pair = (i - head * packs) * size;
    const T* from = x + head * in.head_dim + pair;
    T* to = in.to(head) + pair;
    float a[size], b[size];
    load(from, a);
    load(from + in.form.half, b);
#pragma unroll
    for (int j = 0; j < size; ++j) {
      float first = turned_first(a[j], b[j], turns[pair + j]);
      b[j] = turned_second(a[j], b[j], turns[pair + j]);
      a[j] = first;
    }
    store(a, to);
    store(b, to + in.form.half);
  }
}

template <class T>
__device__ void turn_adjacent(const RotaryInput<T>& in, const float2* turns, const T* x) {
  for (int i = int(threadIdx.x); i < int(in.rotated_heads) * in.form.half; i += int(blockDim.x)) {
    int head = i / in.form.half, pair = i - head * in.form.half;
    const T* from = x + head * in.head_dim + 2 * pair;
    T* to = in.to(head) + 2 * pair;
    float a = to_float(from[0]), b = to_float(from[1]);
    to[0] = from_float<T>(turned_first(a, b, turns[pair]));
    to[1] = from_float<T>(turned_second(a, b, turns[pair]));
  }
}

/// What is not rotated: the ends of rotated heads, and whole heads after them.
template <int size, class T>
__device__ void copy_rest(const RotaryInput<T>& in, const T* x) {
  int dims = 2 * in.form.half, rest = int(in.head_dim) - dims, packs = int(in.head_dim) / size;
  for (int i = int(threadIdx.x); i < int(in.rotated_heads) * rest; i += int(blockDim.x)) {
    int head = i / rest, at = dims + i % rest;
    in.to(head)[at] = x[head * in.head_dim + at];
  }
  for (int i = int(in.rotated_heads) * packs + int(threadIdx.x); i < int(in.heads) * packs; i += int(blockDim.x)) {
    int head = i / packs, at = (i - head * packs) * size;
    float values[size];
    load(x + head * in.head_dim + at, values);
    store(values, in.to(head) + at);
  }
}

/// A block for each token: cosines and sines once, then all heads. Positions and slots were written before this step
/// began: they are read before waiting.
template <int size, class T>
__global__ void __launch_bounds__(kMostThreads) rotate(RotaryInput<T> in, const __grid_constant__ PairTurns pairs) {
  __shared__ float2 turns[kMostPairs];
  let_later_kernels_begin();
  for (int pair = int(threadIdx.x); pair < in.form.half; pair += int(blockDim.x)) {
    turns[pair] = turn_at(in.positions[blockIdx.x], pairs.of_pair[pair], in.form.magnitude);
    turns[pair].y *= in.sign;
  }
  wait_for_earlier_kernels();
  __syncthreads();
  const T* x = in.x + blockIdx.x * in.heads * in.head_dim;
  if (in.form.adjacent)
    turn_adjacent(in, turns, x);
  else
    turn_apart<size>(in, turns, x);
  if (in.x != in.out) copy_rest<size>(in, x);
}

/// `tensors`: all that are read or written.
template <class T>
void launch_rotate(const RotaryInput<T>& in, const RotarySpec& spec, int64_t tokens,
                   std::initializer_list<const Tensor*> tensors, cudaStream_t stream, const char* name) {
  if (tokens == 0) return;
  PairTurns turns = turns_of(spec);
  auto run = [&]<int size>(std::integral_constant<int, size>) {
    int64_t packs = in.rotated_heads * in.form.half / size;
    auto threads = unsigned(std::clamp<int64_t>((packs + 31) / 32 * 32, 32, kMostThreads));
    launch_early(rotate<size, T>, {unsigned(tokens), threads, stream}, name, in, turns);
  };
  if (in.head_dim % kPackOf<T> == 0) return visit_pack<T>(spec.dims / 2, tensors, run);
  run(std::integral_constant<int, 1>());
}

}  // namespace lathe
