#include "lathe/ops/layer_norm.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

struct Stats {
  float mean, rstd;
};

template <class T>
Stats stats_of(const T* x, int64_t n, float eps) {
  float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < n; ++c) sum += wide(x[c]);
  float mean = sum / float(n);
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < n; ++c) squares += (wide(x[c]) - mean) * (wide(x[c]) - mean);
  return {mean, 1 / __builtin_sqrtf(squares / float(n) + eps)};
}

template <class T>
void write_row(const T* x, Stats s, const float* w, const float* b, T* y, int64_t n) {
  if (!b) {
#pragma omp simd
    for (int64_t c = 0; c < n; ++c) narrow((wide(x[c]) - s.mean) * s.rstd * w[c], y[c]);
    return;
  }
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) narrow((wide(x[c]) - s.mean) * s.rstd * w[c] + b[c], y[c]);
}

void layer_norm_simd(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y, Tensor& stats) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const float *w = weight.data<float>(), *b = bias ? bias.data<float>() : nullptr;
    float* kept = stats ? stats.data<float>() : nullptr;
    int64_t rows = x.shape().rows(), columns = x.shape().columns();
#pragma omp parallel for schedule(static) if (rows * columns > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) {
      const T* from = x.data<T>() + r * columns;
      Stats s = stats_of(from, columns, eps);
      if (kept) kept[r] = s.mean, kept[rows + r] = s.rstd;
      write_row(from, s, w, b, y.data<T>() + r * columns, columns);
    }
  });
}

/// With n = (x - mean) * rstd: dweight += dy * n, dbias += dy; either may be null.
template <class T>
void add_to_sums(const T* x, Stats s, const T* dy, float* dweight, float* dbias, int64_t n) {
  if (dweight)
#pragma omp simd
    for (int64_t c = 0; c < n; ++c) dweight[c] += wide(dy[c]) * (wide(x[c]) - s.mean) * s.rstd;
  if (dbias)
#pragma omp simd
    for (int64_t c = 0; c < n; ++c) dbias[c] += wide(dy[c]);
}

/// dx = rstd * (w * dy - mean(w * dy) - n * mean(w * dy * n)).
template <class T>
void write_dx(const T* x, Stats s, const float* w, const T* dy, T* dx, int64_t n) {
  float plain = 0, dot = 0;
#pragma omp simd reduction(+ : plain, dot)
  for (int64_t c = 0; c < n; ++c) {
    float g = w[c] * wide(dy[c]);
    plain += g;
    dot += g * (wide(x[c]) - s.mean) * s.rstd;
  }
  plain /= float(n), dot /= float(n);
#pragma omp simd
  for (int64_t c = 0; c < n; ++c)
    narrow(s.rstd * (w[c] * wide(dy[c]) - plain - (wide(x[c]) - s.mean) * s.rstd * dot), dx[c]);
}

void layer_norm_backward_simd(const Tensor& x, const Tensor& weight, const Tensor& stats, const Tensor& dy, Tensor& dx,
                              Tensor& partials) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t rows = x.shape().rows(), columns = x.shape().columns();
    int64_t chunks = row_chunks(rows);
    T* to = dx ? dx.data<T>() : nullptr;
    float* sums = partials ? partials.data<float>() : nullptr;
    const float *kept = stats.data<float>(), *w = weight.data<float>();
    int64_t width = partials ? partials.shape().columns() : 0;
#pragma omp parallel for schedule(static) if (rows * columns > kParallelElements)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      float *dweight = sums ? sums + chunk * width : nullptr, *dbias = width > columns ? dweight + columns : nullptr;
      for (int64_t c = 0; c < width; ++c) dweight[c] = 0;
      for (int64_t r = rows * chunk / chunks; r < rows * (chunk + 1) / chunks; ++r) {
        const T *from = x.data<T>() + r * columns, *d = dy.data<T>() + r * columns;
        add_to_sums(from, {kept[r], kept[rows + r]}, d, dweight, dbias, columns);
        if (to) write_dx(from, {kept[r], kept[rows + r]}, w, d, to + r * columns, columns);
      }
    }
  });
}

const bool provided = layer_norm_kernel.provide(kThisIsa, layer_norm_simd) &&
                      layer_norm_backward_kernel.provide(kThisIsa, layer_norm_backward_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
