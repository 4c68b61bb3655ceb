#include "lathe/ops/head_norm.h"

#include <algorithm>
#include <cmath>

#include "lathe/base/error.h"
#include "lathe/ops/column_sums.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

void check(const Tensor& qkv, const HeadNorms& norms) {
  bool fits = qkv.shape().rank() == 3 && qkv.shape()[1] == norms.heads + 2 * norms.kv_heads;
  require(fits && norms.heads > 0 && norms.kv_heads > 0, "head_norm: qkv ", qkv.shape(), " does not hold ", norms.heads,
          " heads of queries and ", norms.kv_heads, " of keys and of values");
  for (const Tensor* weight : {&norms.q_weight, &norms.k_weight})
    require(weight->dtype() == DType::f32 && weight->elements() == qkv.shape()[2], "head_norm: weight ",
            name_of(weight->dtype()), ' ', weight->shape(), " does not fit heads of ", qkv.shape()[2],
            "; it must be f32");
}

Gradients differentiate(const Tensor& x, const HeadNorms& norms, const Tensor& rstd, const Tensor& dy) {
  int64_t dim = x.shape()[2];
  Tensor dx = gradient_over(dy, x), partials = column_partials(x.shape()[0], 2 * dim);
  head_norm_backward_kernel({11 * x.elements(), 3 * x.bytes() + rstd.bytes() + partials.bytes()}, x, norms, rstd, dy,
                            dx, partials);
  Gradients gradients = {dx, {}, {}};
  const Tensor* weights[] = {&norms.q_weight, &norms.k_weight};
  for (int64_t i = 0; i < 2; ++i) {
    if (!weights[i]->needs_gradient()) continue;
    GradientTarget target = gradient_target(*weights[i]);
    sum_partials(partials, i * dim, target);
    gradients[size_t(i) + 1] = target.result();
  }
  return gradients;
}

}  // namespace

Tensor head_norm(const Tensor& qkv, const HeadNorms& norms) {
  check(qkv, norms);
  bool kept = recording({&qkv, &norms.q_weight, &norms.k_weight});
  bool in_place = !kept && qkv.unique() && !qkv.is_leaf();
  Tensor y = in_place ? qkv.detached() : Tensor::empty_like(qkv), rstd;
  if (kept) rstd = Tensor::empty({qkv.shape()[0], norms.heads + norms.kv_heads});
  head_norm_kernel({4 * qkv.elements(), 2 * qkv.bytes()}, qkv, norms, y, rstd);
  record(
      {&y}, {&qkv, &norms.q_weight, &norms.k_weight},
      {[x = qkv.detached(), norms, rstd](std::span<const Tensor> dy) { return differentiate(x, norms, rstd, dy[0]); }});
  return y;
}

namespace {

template <class T>
float normalize(const T* x, const float* w, const HeadNorms& norms, int64_t dim, T* y) {
  double squares = 0;
  for (int64_t c = 0; c < dim; ++c) squares += double(float(x[c])) * double(float(x[c]));
  float rstd = 1 / std::sqrt(float(squares / double(dim)) + norms.eps);
  for (int64_t c = 0; c < dim; ++c) y[c] = T(float(x[c]) * rstd * (w[c] + norms.weight_offset));
  return rstd;
}

void head_norm_plain(const Tensor& x, const HeadNorms& norms, Tensor& y, Tensor& rstd) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t tokens = x.shape()[0], all = x.shape()[1], dim = x.shape()[2], normed = norms.heads + norms.kv_heads;
    const float *q = norms.q_weight.data<float>(), *k = norms.k_weight.data<float>();
    float* kept = rstd ? rstd.data<float>() : nullptr;
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t token = 0; token < tokens; ++token) {
      const T* from = x.data<T>() + token * all * dim;
      T* to = y.data<T>() + token * all * dim;
      for (int64_t head = 0; head < normed; ++head) {
        float scale = normalize(from + head * dim, head < norms.heads ? q : k, norms, dim, to + head * dim);
        if (kept) kept[token * normed + head] = scale;
      }
      if (from != to) std::copy(from + normed * dim, from + all * dim, to + normed * dim);
    }
  });
}

/// With n = x * rstd and w with its offset: dx = rstd * (w * dy - n * mean(w * dy * n)), dweight += dy * n.
template <class T>
void head_backward(const T* x, const float* w, float offset, float rstd, int64_t dim, const T* dy, T* dx,
                   float* dweight) {
  double dot = 0;
  for (int64_t c = 0; c < dim; ++c) dot += double((w[c] + offset) * float(dy[c]) * float(x[c]) * rstd);
  float mean = float(dot / double(dim));
  for (int64_t c = 0; c < dim; ++c) {
    float n = float(x[c]) * rstd, d = float(dy[c]);
    dweight[c] += d * n;
    dx[c] = T(rstd * ((w[c] + offset) * d - n * mean));
  }
}

void head_norm_backward_plain(const Tensor& x, const HeadNorms& norms, const Tensor& rstd, const Tensor& dy, Tensor& dx,
                              Tensor& partials) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t tokens = x.shape()[0], all = x.shape()[1], dim = x.shape()[2], normed = norms.heads + norms.kv_heads;
    int64_t chunks = partials.shape()[0];
    const float *q = norms.q_weight.data<float>(), *k = norms.k_weight.data<float>();
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      float* sums = partials.data<float>() + chunk * 2 * dim;
      std::fill_n(sums, 2 * dim, 0.0f);
      for (int64_t token = tokens * chunk / chunks; token < tokens * (chunk + 1) / chunks; ++token) {
        int64_t first = token * all * dim, end = first + all * dim;
        for (int64_t head = 0; head < normed; ++head) {
          int64_t at = first + head * dim;
          head_backward(x.data<T>() + at, head < norms.heads ? q : k, norms.weight_offset,
                        rstd.data<float>()[token * normed + head], dim, dy.data<T>() + at, dx.data<T>() + at,
                        sums + (head < norms.heads ? 0 : dim));
        }
        if (dx.data<T>() != dy.data<T>())
          std::copy(dy.data<T>() + first + normed * dim, dy.data<T>() + end, dx.data<T>() + first + normed * dim);
      }
    }
  });
}

const bool provided = head_norm_kernel.provide(Isa::plain, head_norm_plain) &&
                      head_norm_backward_kernel.provide(Isa::plain, head_norm_backward_plain);

}  // namespace
}  // namespace lathe
