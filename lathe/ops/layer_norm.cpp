#include "lathe/ops/layer_norm.h"

#include <cmath>

#include "lathe/ops/column_sums.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

int64_t bytes_of(const Tensor& tensor) { return tensor ? tensor.bytes() : 0; }

void normalize(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y, Tensor& stats) {
  int64_t bytes = x.bytes() + weight.bytes() + bytes_of(bias) + y.bytes() + bytes_of(stats);
  layer_norm_kernel({7 * x.elements(), bytes}, x, weight, bias, eps, y, stats);
}

struct Kept {
  Tensor x, weight, bias, stats;
  bool needs_dx;
};

Gradients differentiate(const Kept& kept, const Tensor& dy) {
  const auto& [x, weight, bias, stats, needs_dx] = kept;
  bool needs_bias = bias && bias.needs_gradient();
  int64_t columns = x.shape().columns();
  Tensor dx = needs_dx ? gradient_over(dy, x) : Tensor(), partials;
  if (weight.needs_gradient() || needs_bias)
    partials = column_partials(x.shape().rows(), columns * (needs_bias ? 2 : 1));
  int64_t bytes = x.bytes() + weight.bytes() + stats.bytes() + dy.bytes() + bytes_of(dx) + bytes_of(partials);
  layer_norm_backward_kernel({(dx ? 11 : 0) * x.elements() + (partials ? 5 : 0) * x.elements(), bytes}, x, weight,
                             stats, dy, dx, partials);
  Gradients gradients{dx, Tensor(), Tensor()};
  if (weight.needs_gradient()) {
    GradientTarget target = gradient_target(weight);
    sum_partials(partials, 0, target);
    gradients[1] = target.result();
  }
  if (needs_bias) {
    GradientTarget target = gradient_target(bias);
    sum_partials(partials, columns, target);
    gradients[2] = target.result();
  }
  return gradients;
}

void check(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  require(weight.elements() == x.shape().columns() && weight.dtype() == DType::f32, "layer_norm: weight ",
          name_of(weight.dtype()), ' ', weight.shape(), " does not fit x ", x.shape(), "; it must be f32");
  require(!bias || (bias.elements() == weight.elements() && bias.dtype() == DType::f32), "layer_norm: bias ",
          name_of(bias.dtype()), ' ', bias.shape(), " does not fit weight ", weight.shape(), "; it must be f32");
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps) {
  check(x, weight, bias);
  Tensor y = Tensor::empty_like(x), stats;
  if (recording({&x, &weight, &bias})) stats = Tensor::empty({2, x.shape().rows()});
  normalize(x, weight, bias, eps, y, stats);
  record({&y}, {&x, &weight, &bias},
         {[kept = Kept{x.detached(), weight, bias, stats, x.needs_gradient()}](std::span<const Tensor> dy) {
            return differentiate(kept, dy[0]);
          },
          [x = x.detached(), weight, bias, stats, eps](std::span<Tensor> outputs) {
            Tensor again = stats;
            normalize(x, weight, bias, eps, outputs[0], again);
          }});
  return y;
}

namespace {

void layer_norm_plain(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y, Tensor& stats) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const float *w = weight.data<float>(), *b = bias ? bias.data<float>() : nullptr;
    float* kept = stats ? stats.data<float>() : nullptr;
    int64_t rows = x.shape().rows(), columns = x.shape().columns();
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) {
      const T* from = x.data<T>() + r * columns;
      T* to = y.data<T>() + r * columns;
      double sum = 0, squares = 0;
      for (int64_t c = 0; c < columns; ++c) sum += double(float(from[c]));
      double mean = sum / double(columns);
      for (int64_t c = 0; c < columns; ++c) {
        double centred = double(float(from[c])) - mean;
        squares += centred * centred;
      }
      float rstd = 1 / std::sqrt(float(squares / double(columns)) + eps);
      if (kept) kept[r] = float(mean), kept[rows + r] = rstd;
      for (int64_t c = 0; c < columns; ++c) to[c] = T((float(from[c]) - float(mean)) * rstd * w[c] + (b ? b[c] : 0.0f));
    }
  });
}

struct Row {
  float mean, rstd;
  int64_t columns;
  float *dweight, *dbias;  ///< null where not wanted
};

/// With n = (x - mean) * rstd: dx = rstd * (w * dy - mean(w * dy) - n * mean(w * dy * n)), dweight = sum of dy * n,
/// dbias = sum of dy.
template <class T>
void row_backward(const Row& row, const T* x, const float* w, const T* dy, T* dx) {
  double plain = 0, dot = 0;
  for (int64_t c = 0; c < row.columns; ++c) {
    float g = w[c] * float(dy[c]);
    plain += double(g);
    dot += double(g * (float(x[c]) - row.mean) * row.rstd);
  }
  float mean_plain = float(plain / double(row.columns)), mean_dot = float(dot / double(row.columns));
  for (int64_t c = 0; c < row.columns; ++c) {
    float n = (float(x[c]) - row.mean) * row.rstd, d = float(dy[c]);
    if (row.dweight) row.dweight[c] += d * n;
    if (row.dbias) row.dbias[c] += d;
    if (dx) dx[c] = T(row.rstd * (w[c] * d - mean_plain - n * mean_dot));
  }
}

void layer_norm_backward_plain(const Tensor& x, const Tensor& weight, const Tensor& stats, const Tensor& dy, Tensor& dx,
                               Tensor& partials) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t rows = x.shape().rows(), columns = x.shape().columns(), chunks = row_chunks(rows);
    T* to = dx ? dx.data<T>() : nullptr;
    float* sums = partials ? partials.data<float>() : nullptr;
    const float* kept = stats.data<float>();
    int64_t width = partials ? partials.shape().columns() : 0;
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      float* dweight = sums ? sums + chunk * width : nullptr;
      if (dweight) std::fill_n(dweight, width, 0.0f);
      for (int64_t r = rows * chunk / chunks; r < rows * (chunk + 1) / chunks; ++r) {
        Row row{kept[r], kept[rows + r], columns, dweight, width > columns ? dweight + columns : nullptr};
        row_backward(row, x.data<T>() + r * columns, weight.data<float>(), dy.data<T>() + r * columns,
                     to ? to + r * columns : nullptr);
      }
    }
  });
}

const bool provided = layer_norm_kernel.provide(Isa::plain, layer_norm_plain) &&
                      layer_norm_backward_kernel.provide(Isa::plain, layer_norm_backward_plain);

}  // namespace
}  // namespace lathe
