#include "lathe/ops/rotary.h"

#include <numbers>

#include "lathe/base/error.h"
#include "lathe/ops/row_packs.cuh"

namespace lathe {
namespace {

constexpr int kMostPairs = 256;    ///< of a head
constexpr int kMostThreads = 128;  ///< of a token

/// Turns from one position to the next, of each pair: constants of the launch.
struct PairTurns {
  double of_pair[kMostPairs];
};

/// x and out [tokens, heads, head_dim]; null-table form of rotary_kernel's arguments.
template <class T>
struct RotaryInput {
  const T* x;
  const int32_t* positions;
  T* out;
  int64_t rotated_heads, heads, head_dim;
  int half;       ///< pairs of a head
  bool adjacent;  ///< pairs (2i, 2i + 1)
  float magnitude, sign;
};

template <int size, class T>
__device__ void turn_apart(const RotaryInput<T>& in, const float* cosines, const float* sines, int64_t base) {
  int packs = in.half / size, all = int(in.rotated_heads) * packs;
  for (int i = int(threadIdx.x); i < all; i += int(blockDim.x)) {
    int head = i / packs, pair = (i - head * packs) * size;
    int64_t at = base + head * in.head_dim + pair;
    float a[size], b[size];
    load(in.x + at, a);
    load(in.x + at + in.half, b);
#pragma unroll
    for (int j = 0; j < size; ++j) {
      float first = a[j] * cosines[pair + j] - b[j] * sines[pair + j];
      b[j] = b[j] * cosines[pair + j] + a[j] * sines[pair + j];
      a[j] = first;
    }
    store(a, in.out + at);
    store(b, in.out + at + in.half);
  }
}

template <class T>
__device__ void turn_adjacent(const RotaryInput<T>& in, const float* cosines, const float* sines, int64_t base) {
  for (int i = int(threadIdx.x); i < int(in.rotated_heads) * in.half; i += int(blockDim.x)) {
    int head = i / in.half, pair = i - head * in.half;
    int64_t at = base + head * in.head_dim + 2 * pair;
    float a = to_float(in.x[at]), b = to_float(in.x[at + 1]);
    in.out[at] = from_float<T>(a * cosines[pair] - b * sines[pair]);
    in.out[at + 1] = from_float<T>(b * cosines[pair] + a * sines[pair]);
  }
}

/// What is not rotated: the ends of rotated heads, and whole heads after them.
template <int size, class T>
__device__ void copy_rest(const RotaryInput<T>& in, int64_t base) {
  int dims = 2 * in.half, rest = int(in.head_dim) - dims;
  for (int i = int(threadIdx.x); i < int(in.rotated_heads) * rest; i += int(blockDim.x)) {
    int64_t at = base + i / rest * in.head_dim + dims + i % rest;
    in.out[at] = in.x[at];
  }
  int64_t row = in.heads * in.head_dim;
  for (int64_t i = in.rotated_heads * in.head_dim + threadIdx.x * size; i < row; i += int(blockDim.x) * size) {
    float values[size];
    load(in.x + base + i, values);
    store(values, in.out + base + i);
  }
}

/// A block for each token: cosines and sines once, then all heads. Whole turns are taken off in f64, which an angle at
/// position 100,000 needs.
template <int size, class T>
__global__ void __launch_bounds__(kMostThreads) rotary(RotaryInput<T> in, const __grid_constant__ PairTurns turns) {
  __shared__ float cosines[kMostPairs], sines[kMostPairs];
  double position = double(in.positions[blockIdx.x]);
  for (int pair = int(threadIdx.x); pair < in.half; pair += int(blockDim.x)) {
    double turned = position * turns.of_pair[pair];
    float sine, cosine;
    sincospif(2.0f * float(turned - rint(turned)), &sine, &cosine);
    cosines[pair] = in.magnitude * cosine;
    sines[pair] = in.magnitude * in.sign * sine;
  }
  __syncthreads();
  int64_t base = blockIdx.x * in.heads * in.head_dim;
  if (in.adjacent)
    turn_adjacent(in, cosines, sines, base);
  else
    turn_apart<size>(in, cosines, sines, base);
  if (in.x != in.out) copy_rest<size>(in, base);
}

void rotary_cuda(const Tensor& x, const Tensor& positions, int64_t rotated_heads, const RotarySpec& spec, bool back,
                 Tensor& out, Tensor&) {
  require(spec.dims / 2 <= kMostPairs, "rotary: on a GPU at most ", 2 * kMostPairs, " values of a head, not ",
          spec.dims);
  PairTurns turns;
  for (int64_t pair = 0; pair < spec.dims / 2; ++pair)
    turns.of_pair[pair] = rotary_frequency(spec, pair) / (2 * std::numbers::pi);
  int64_t tokens = x.shape()[0], heads = x.shape()[1], head_dim = x.shape()[2];
  if (tokens == 0) return;
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    RotaryInput<T> in{.x = on_device<const T>(x),
                      .positions = on_device<const int32_t>(positions),
                      .out = on_device<T>(out),
                      .rotated_heads = rotated_heads,
                      .heads = heads,
                      .head_dim = head_dim,
                      .half = int(spec.dims / 2),
                      .adjacent = spec.interleaved,
                      .magnitude = float(rotary_magnitude(spec)),
                      .sign = back ? -1.0f : 1.0f};
    auto run = [&]<int size>(std::integral_constant<int, size>) {
      int64_t packs = rotated_heads * in.half / size;
      unsigned threads = unsigned(std::clamp<int64_t>((packs + 31) / 32 * 32, 32, kMostThreads));
      rotary<size><<<unsigned(tokens), threads, 0, stream_of(out)>>>(in, turns);
      check_launch("rotary");
    };
    if (head_dim % kPackOf<T> == 0) return visit_pack<T>(spec.dims / 2, {&x, &out}, run);
    run(std::integral_constant<int, 1>());
  });
}

const bool provided = rotary_kernel.provide(Backend::cuda, rotary_cuda);

}  // namespace
}  // namespace lathe
