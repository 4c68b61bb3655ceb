#include "lathe/ops/rotary.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

/// Cosines, then sines, of a position's angles; `turns`: full turns a position, one a pair.
void write_table(int32_t position, const double* turns, float magnitude, float sign, float* table, int64_t half) {
#pragma omp simd
  for (int64_t pair = 0; pair < half; ++pair) {
    double all = position * turns[pair], whole = (all + 0x1.8p52) - 0x1.8p52;
    float part = float(all - whole);  // in [-1/2, 1/2]
    table[pair] = magnitude * cos_of_turns(part);
    table[half + pair] = sign * magnitude * sin_of_turns(part);
  }
}

/// Pairs (x[p], x[p + half]): GPT-NeoX's and LLaMA's order.
template <class T>
void turn_halves(const T* x, T* out, const float* table, int64_t half) {
#pragma omp simd
  for (int64_t pair = 0; pair < half; ++pair) {
    float a = wide(x[pair]), b = wide(x[pair + half]), cosine = table[pair], sine = table[half + pair];
    narrow(a * cosine - b * sine, out[pair]);
    narrow(b * cosine + a * sine, out[pair + half]);
  }
}

/// Pairs (x[2 p], x[2 p + 1]): GPT-J's order.
template <class T>
void turn_neighbours(const T* x, T* out, const float* table, int64_t half) {
  for (int64_t pair = 0; pair < half; ++pair) {
    float a = wide(x[2 * pair]), b = wide(x[2 * pair + 1]), cosine = table[pair], sine = table[half + pair];
    narrow(a * cosine - b * sine, out[2 * pair]);
    narrow(b * cosine + a * sine, out[2 * pair + 1]);
  }
}

template <class T>
void turn_token(const T* x, T* out, const Tensor& like, int64_t rotated_heads, const RotarySpec& spec,
                const float* table) {
  int64_t heads = like.shape()[1], head_dim = like.shape()[2], rest = head_dim - spec.dims;
  for (int64_t head = 0; head < rotated_heads; ++head) {
    const T* from = x + head * head_dim;
    T* to = out + head * head_dim;
    spec.interleaved ? turn_neighbours(from, to, table, spec.dims / 2) : turn_halves(from, to, table, spec.dims / 2);
    if (x != out) __builtin_memcpy(to + spec.dims, from + spec.dims, size_t(rest) * sizeof(T));
  }
  int64_t turned = rotated_heads * head_dim;
  if (x != out) __builtin_memcpy(out + turned, x + turned, size_t(heads * head_dim - turned) * sizeof(T));
}

void rotary_simd(const Tensor& x, const Tensor& positions, int64_t rotated_heads, const RotarySpec& spec, bool back,
                 Tensor& out, Tensor& table) {
  int64_t tokens = x.shape()[0], row = x.shape()[1] * x.shape()[2], half = spec.dims / 2;
  float magnitude = float(rotary_magnitude(spec));
  double* turns = table.data<double>();  // the first two rows
  for (int64_t pair = 0; pair < half; ++pair) turns[pair] = rotary_frequency(spec, pair) * 0.15915494309189535;
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
#pragma omp parallel for schedule(static)
    for (int64_t token = 0; token < tokens; ++token) {
      float* own = table.data<float>() + (token + 2) * spec.dims;
      write_table(positions.data<int32_t>()[token], turns, magnitude, back ? -1.0f : 1.0f, own, half);
      turn_token(x.data<T>() + token * row, out.data<T>() + token * row, x, rotated_heads, spec, own);
    }
  });
}

const bool provided = rotary_kernel.provide(kThisIsa, rotary_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
