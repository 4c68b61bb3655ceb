#include "lathe/ops/head_norm.h"

#include "lathe/ops/parallel.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

template <class T>
float normalize(const T* x, const float* w, const HeadNorms& norms, int64_t dim, T* y) {
  float squares = 0, offset = norms.weight_offset;
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < dim; ++c) squares += wide(x[c]) * wide(x[c]);
  float rstd = 1 / __builtin_sqrtf(squares / float(dim) + norms.eps);
#pragma omp simd
  for (int64_t c = 0; c < dim; ++c) narrow(wide(x[c]) * rstd * (w[c] + offset), y[c]);
  return rstd;
}

void head_norm_simd(const Tensor& x, const HeadNorms& norms, Tensor& y, Tensor& rstd) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t tokens = x.shape()[0], all = x.shape()[1], dim = x.shape()[2], normed = norms.heads + norms.kv_heads;
    const float *q = norms.q_weight.data<float>(), *k = norms.k_weight.data<float>();
    float* kept = rstd ? rstd.data<float>() : nullptr;
    int64_t heads = norms.heads;
#pragma omp parallel for schedule(static) if (tokens * all * dim > kParallelElements)
    for (int64_t token = 0; token < tokens; ++token) {
      const T* from = x.data<T>() + token * all * dim;
      T* to = y.data<T>() + token * all * dim;
      for (int64_t head = 0; head < normed; ++head) {
        float scale = normalize(from + head * dim, head < heads ? q : k, norms, dim, to + head * dim);
        if (kept) kept[token * normed + head] = scale;
      }
      if (from != to)
        __builtin_memcpy(to + normed * dim, from + normed * dim, size_t((all - normed) * dim) * sizeof(T));
    }
  });
}

/// With n = x * rstd and w with its offset: dx = rstd * (w * dy - n * mean(w * dy * n)), dweight += dy * n.
template <class T>
void head_backward(const T* x, const float* w, float offset, float rstd, int64_t dim, const T* dy, T* dx,
                   float* dweight) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t c = 0; c < dim; ++c) dot += (w[c] + offset) * wide(dy[c]) * wide(x[c]) * rstd;
  dot /= float(dim);
#pragma omp simd
  for (int64_t c = 0; c < dim; ++c) {
    float n = wide(x[c]) * rstd, d = wide(dy[c]);
    dweight[c] += d * n;
    narrow(rstd * ((w[c] + offset) * d - n * dot), dx[c]);
  }
}

void head_norm_backward_simd(const Tensor& x, const HeadNorms& norms, const Tensor& rstd, const Tensor& dy, Tensor& dx,
                             Tensor& partials) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t tokens = x.shape()[0], all = x.shape()[1], dim = x.shape()[2], heads = norms.heads;
    int64_t normed = heads + norms.kv_heads, chunks = partials.shape()[0];
    const float *q = norms.q_weight.data<float>(), *k = norms.k_weight.data<float>(), *kept = rstd.data<float>();
    const T *from = x.data<T>(), *d = dy.data<T>();
    T* to = dx.data<T>();
#pragma omp parallel for schedule(static) if (tokens * all * dim > kParallelElements)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      float* sums = partials.data<float>() + chunk * 2 * dim;
      for (int64_t c = 0; c < 2 * dim; ++c) sums[c] = 0;
      for (int64_t token = tokens * chunk / chunks; token < tokens * (chunk + 1) / chunks; ++token) {
        int64_t first = token * all * dim, values = first + normed * dim;
        for (int64_t head = 0; head < normed; ++head) {
          int64_t at = first + head * dim;
          head_backward(from + at, head < heads ? q : k, norms.weight_offset, kept[token * normed + head], dim, d + at,
                        to + at, sums + (head < heads ? 0 : dim));
        }
        if (d != to) __builtin_memcpy(to + values, d + values, size_t((all - normed) * dim) * sizeof(T));
      }
    }
  });
}

const bool provided = head_norm_kernel.provide(kThisIsa, head_norm_simd) &&
                      head_norm_backward_kernel.provide(kThisIsa, head_norm_backward_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
