#include "lathe/ops/rms_norm.h"

#include <cmath>

#include "lathe/ops/column_sums.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

void normalize(const Tensor& x, const Tensor& weight, float eps, float offset, Tensor& y, Tensor& rstd) {
  int64_t bytes = x.bytes() + weight.bytes() + y.bytes() + (rstd ? rstd.bytes() : 0);
  rms_norm_kernel({4 * x.elements(), bytes}, x, weight, eps, offset, y, rstd);
}

Gradients differentiate(const Tensor& x, const Tensor& weight, float offset, const Tensor& rstd, bool needs_dx,
                        const Tensor& dy) {
  Tensor dx = needs_dx ? gradient_over(dy, x) : Tensor(), partials;
  if (weight.needs_gradient()) partials = column_partials(x.shape().rows(), x.shape().columns());
  int64_t written = (dx ? dx.bytes() : 0) + (partials ? partials.bytes() : 0);
  int64_t flops = (dx ? 8 : 0) * x.elements() + (partials ? 3 : 0) * x.elements();
  rms_norm_backward_kernel({flops, x.bytes() + dy.bytes() + weight.bytes() + rstd.bytes() + written}, x, weight, offset,
                           rstd, dy, dx, partials);
  if (!partials) return {dx};
  GradientTarget target = gradient_target(weight);
  sum_partials(partials, 0, target);
  return {dx, target.result()};
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps, float weight_offset) {
  require(weight.elements() == x.shape().columns() && weight.dtype() == DType::f32, "rms_norm: weight ",
          name_of(weight.dtype()), ' ', weight.shape(), " does not fit x ", x.shape(), "; it must be f32");
  Tensor y = Tensor::empty_like(x), rstd;
  if (recording({&x, &weight})) rstd = Tensor::empty({x.shape().rows()});
  normalize(x, weight, eps, weight_offset, y, rstd);
  bool needs_dx = x.needs_gradient();
  record({&y}, {&x, &weight},
         {[x = x.detached(), weight, weight_offset, rstd, needs_dx](std::span<const Tensor> dy) {
            return differentiate(x, weight, weight_offset, rstd, needs_dx, dy[0]);
          },
          [x = x.detached(), weight, rstd, eps, weight_offset](std::span<Tensor> outputs) {
            Tensor again = rstd;
            normalize(x, weight, eps, weight_offset, outputs[0], again);
          }});
  return y;
}

namespace {

void rms_norm_plain(const Tensor& x, const Tensor& weight, float eps, float offset, Tensor& y, Tensor& rstd) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const float* w = weight.data<float>();
    float* kept = rstd ? rstd.data<float>() : nullptr;
    int64_t rows = x.shape().rows(), columns = x.shape().columns();
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) {
      const T* from = x.data<T>() + r * columns;
      T* to = y.data<T>() + r * columns;
      double squares = 0;
      for (int64_t c = 0; c < columns; ++c) squares += double(float(from[c])) * double(float(from[c]));
      float scale = 1 / std::sqrt(float(squares / double(columns)) + eps);
      if (kept) kept[r] = scale;
      for (int64_t c = 0; c < columns; ++c) to[c] = T(float(from[c]) * scale * (w[c] + offset));
    }
  });
}

/// With n = x * rstd and w with its offset: dx = rstd * (w * dy - n * mean(w * dy * n)), dweight = sum over rows of
/// dy * n.
template <class T>
void row_backward(const T* x, const float* w, float offset, float rstd, int64_t columns, const T* dy, T* dx,
                  float* dweight) {
  double dot = 0;
  for (int64_t c = 0; c < columns; ++c) dot += double((w[c] + offset) * float(dy[c]) * float(x[c]) * rstd);
  float mean = float(dot / double(columns));
  for (int64_t c = 0; c < columns; ++c) {
    float n = float(x[c]) * rstd, d = float(dy[c]);
    if (dweight) dweight[c] += d * n;
    if (dx) dx[c] = T(rstd * ((w[c] + offset) * d - n * mean));
  }
}

void rms_norm_backward_plain(const Tensor& x, const Tensor& weight, float offset, const Tensor& rstd, const Tensor& dy,
                             Tensor& dx, Tensor& partials) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t rows = x.shape().rows(), columns = x.shape().columns(), chunks = row_chunks(rows);
    T* to = dx ? dx.data<T>() : nullptr;
    float* sums = partials ? partials.data<float>() : nullptr;
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      float* dweight = sums ? sums + chunk * columns : nullptr;
      if (dweight) std::fill_n(dweight, columns, 0.0f);
      for (int64_t r = rows * chunk / chunks; r < rows * (chunk + 1) / chunks; ++r)
        row_backward(x.data<T>() + r * columns, weight.data<float>(), offset, rstd.data<float>()[r], columns,
                     dy.data<T>() + r * columns, to ? to + r * columns : nullptr, dweight);
    }
  });
}

const bool provided = rms_norm_kernel.provide(Isa::plain, rms_norm_plain) &&
                      rms_norm_backward_kernel.provide(Isa::plain, rms_norm_backward_plain);

}  // namespace
}  // namespace lathe
