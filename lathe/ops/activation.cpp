#include "lathe/ops/activation.h"

#include <cmath>

#include "lathe/ops/gradient_target.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

void run(const Tensor& x, Activation activation, Tensor& y) {
  activate_kernel({kActivationFlops * x.elements(), x.bytes() + y.bytes()}, x, activation, y);
}

void run_gated(const Tensor& x, Activation activation, Tensor& y) {
  gated_activate_kernel({kActivationFlops * y.elements(), x.bytes() + y.bytes()}, x, activation, y);
}

}  // namespace

Activation activation_named(std::string_view name) {
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  if (name == "quick_gelu") return Activation::quick_gelu;
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "relu") return Activation::relu;
  if (name == "tanh") return Activation::tanh;
  throw Error(text("hidden_act \"", name,
                   "\" is none of gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, swish, relu, tanh"));
}

Tensor activate(Tensor x, Activation activation) {
  Tensor y = x.unique() && !recording({&x}) ? x.detached() : Tensor::empty_like(x);
  run(x, activation, y);
  record({&y}, {&x},
         {[x = x.detached(), activation](std::span<const Tensor> dy) -> Gradients {
            Tensor dx = gradient_over(dy[0].unique() ? dy[0] : x, x);
            activate_backward_kernel({2 * kActivationFlops * x.elements(), 3 * x.bytes()}, x, dy[0], activation, dx);
            return {dx};
          },
          [x = x.detached(), activation](std::span<Tensor> outputs) { run(x, activation, outputs[0]); }});
  return y;
}

Tensor gated_activate(const Tensor& gate_up, Activation activation) {
  int64_t width = gate_up.shape().columns();
  require(width % 2 == 0, "gated_activate: gate_up ", gate_up.shape(), " must hold gate and up side by side");
  Tensor y = Tensor::empty(gate_up.shape().with_columns(width / 2), gate_up.dtype());
  run_gated(gate_up, activation, y);
  record({&y}, {&gate_up},
         {[x = gate_up.detached(), activation](std::span<const Tensor> dy) -> Gradients {
            Tensor dx = gradient_over(x, x);
            gated_activate_backward_kernel({2 * kActivationFlops * dy[0].elements(), dy[0].bytes() + 2 * x.bytes()}, x,
                                           dy[0], activation, dx);
            return {dx};
          },
          [x = gate_up.detached(), activation](std::span<Tensor> outputs) { run_gated(x, activation, outputs[0]); }});
  return y;
}

namespace {

struct Point {
  float value, slope;
};

Point gelu(float x) {
  float cdf = 0.5f * std::erfc(-x * 0.70710678f), density = 0.39894228f * std::exp(-0.5f * x * x);
  return {x * cdf, cdf + x * density};
}

Point gelu_tanh(float x) {
  float inner = 0.79788456f * (x + 0.044715f * x * x * x), t = std::tanh(inner);
  float d_inner = 0.79788456f * (1 + 3 * 0.044715f * x * x);
  return {0.5f * x * (1 + t), 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * d_inner};
}

Point sigmoid_gate(float x, float slope) {
  float gate = 1 / (1 + std::exp(-slope * x));
  return {x * gate, gate + slope * x * gate * (1 - gate)};
}

Point tanh_point(float x) {
  float t = std::tanh(x);
  return {t, 1 - t * t};
}

Point at(Activation activation, float x) {
  switch (activation) {
    case Activation::gelu:
      return gelu(x);
    case Activation::gelu_tanh:
      return gelu_tanh(x);
    case Activation::quick_gelu:
      return sigmoid_gate(x, 1.702f);
    case Activation::silu:
      return sigmoid_gate(x, 1);
    case Activation::tanh:
      return tanh_point(x);
    case Activation::relu:
      break;
  }
  return {x > 0 ? x : 0, x > 0 ? 1.0f : 0.0f};
}

}  // namespace

float activation_of(Activation activation, float x) { return at(activation, x).value; }

namespace {

void activate_plain(const Tensor& x, Activation activation, Tensor& y) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const T* from = x.data<T>();
    T* to = y.data<T>();
    int64_t n = x.elements();
#pragma omp parallel for schedule(static) if (n > kParallelElements)
    for (int64_t i = 0; i < n; ++i) to[i] = T(at(activation, float(from[i])).value);
  });
}

void activate_backward_plain(const Tensor& x, const Tensor& dy, Activation activation, Tensor& dx) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const T *from = x.data<T>(), *d = dy.data<T>();
    T* to = dx.data<T>();
    int64_t n = x.elements();
#pragma omp parallel for schedule(static) if (n > kParallelElements)
    for (int64_t i = 0; i < n; ++i) to[i] = T(float(d[i]) * at(activation, float(from[i])).slope);
  });
}

void gated_activate_plain(const Tensor& x, Activation activation, Tensor& y) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t rows = y.shape().rows(), n = y.shape().columns();
#pragma omp parallel for schedule(static) if (y.elements() > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) {
      const T *gate = x.data<T>() + 2 * r * n, *up = gate + n;
      T* to = y.data<T>() + r * n;
      for (int64_t c = 0; c < n; ++c) to[c] = T(at(activation, float(gate[c])).value * float(up[c]));
    }
  });
}

void gated_activate_backward_plain(const Tensor& x, const Tensor& dy, Activation activation, Tensor& dx) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    int64_t rows = dy.shape().rows(), n = dy.shape().columns();
#pragma omp parallel for schedule(static) if (dy.elements() > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) {
      const T *gate = x.data<T>() + 2 * r * n, *up = gate + n, *d = dy.data<T>() + r * n;
      T *dgate = dx.data<T>() + 2 * r * n, *dup = dgate + n;
      for (int64_t c = 0; c < n; ++c) {
        Point point = at(activation, float(gate[c]));
        float through = float(d[c]) * float(up[c]) * point.slope;
        dup[c] = T(float(d[c]) * point.value);
        dgate[c] = T(through);
      }
    }
  });
}

const bool provided = activate_kernel.provide(Isa::plain, activate_plain) &&
                      activate_backward_kernel.provide(Isa::plain, activate_backward_plain) &&
                      gated_activate_kernel.provide(Isa::plain, gated_activate_plain) &&
                      gated_activate_backward_kernel.provide(Isa::plain, gated_activate_backward_plain);

}  // namespace
}  // namespace lathe
