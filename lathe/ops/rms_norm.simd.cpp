#include "lathe/ops/rms_norm.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

template <class T>
float rstd_of(const T* x, int64_t n, float eps) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < n; ++c) squares += wide(x[c]) * wide(x[c]);
  return 1 / __builtin_sqrtf(squares / float(n) + eps);
}

template <class T>
void write_row(const T* x, float rstd, const float* w, float offset, T* y, int64_t n) {
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) narrow(wide(x[c]) * rstd * (w[c] + offset), y[c]);
}

void rms_norm_simd(const Tensor& x, const Tensor& weight, float eps, float offset, Tensor& y, Tensor& rstd) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const float* w = weight.data<float>();
    float* kept = rstd ? rstd.data<float>() : nullptr;
    int64_t rows = x.shape().rows(), columns = x.shape().columns();
#pragma omp parallel for schedule(static) if (rows * columns > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) {
      const T* from = x.data<T>() + r * columns;
      float scale = rstd_of(from, columns, eps);
      if (kept) kept[r] = scale;
      write_row(from, scale, w, offset, y.data<T>() + r * columns, columns);
    }
  });
}

/// With n = x * rstd and w with its offset: dx = rstd * (w * dy - n * mean(w * dy * n)).
template <class T>
void write_dx(const T* x, float rstd, const float* w, float offset, const T* dy, T* dx, int64_t n) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t c = 0; c < n; ++c) dot += (w[c] + offset) * wide(dy[c]) * wide(x[c]) * rstd;
  dot /= float(n);
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) narrow(rstd * ((w[c] + offset) * wide(dy[c]) - wide(x[c]) * rstd * dot), dx[c]);
}

template <class T>
void add_to_sums(const T* x, float rstd, const T* dy, float* dweight, int64_t n) {
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) dweight[c] += wide(dy[c]) * wide(x[c]) * rstd;
}

void rms_norm_backward_simd(const Tensor& x, const Tensor& weight, float offset, const Tensor& rstd, const Tensor& dy,
                            Tensor& dx, Tensor& partials) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t rows = x.shape().rows(), columns = x.shape().columns();
    int64_t chunks = row_chunks(rows);
    T* to = dx ? dx.data<T>() : nullptr;
    float* sums = partials ? partials.data<float>() : nullptr;
    const float *kept = rstd.data<float>(), *w = weight.data<float>();
#pragma omp parallel for schedule(static) if (rows * columns > kParallelElements)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      float* dweight = sums ? sums + chunk * columns : nullptr;
      if (dweight)
        for (int64_t c = 0; c < columns; ++c) dweight[c] = 0;
      for (int64_t r = rows * chunk / chunks; r < rows * (chunk + 1) / chunks; ++r) {
        const T *from = x.data<T>() + r * columns, *d = dy.data<T>() + r * columns;
        if (dweight) add_to_sums(from, kept[r], d, dweight, columns);
        if (to) write_dx(from, kept[r], w, offset, d, to + r * columns, columns);
      }
    }
  });
}

const bool provided = rms_norm_kernel.provide(kThisIsa, rms_norm_simd) &&
                      rms_norm_backward_kernel.provide(kThisIsa, rms_norm_backward_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
