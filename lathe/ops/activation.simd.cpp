#include "lathe/ops/activation.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

/// An activation and its derivative, element by element.
struct Gelu {
  static float value(float x) { return x * cdf(x); }
  static float slope(float x) { return cdf(x) + x * 0.39894228f * exp_of(-0.5f * x * x); }
  static float cdf(float x) { return 0.5f + 0.5f * erf_of(x * 0.70710678f); }
};

struct GeluTanh {
  static float value(float x) { return 0.5f * x * (1 + bend(x)); }
  static float slope(float x) {
    float t = bend(x), d_inner = 0.79788456f * (1 + 3 * 0.044715f * x * x);
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * d_inner;
  }
  static float bend(float x) { return tanh_of(0.79788456f * (x + 0.044715f * x * x * x)); }
};

template <int thousandths>
struct SigmoidGate {
  static constexpr float kSlope = thousandths * 0.001f;
  static float value(float x) { return x * gate(x); }
  static float slope(float x) {
    float g = gate(x);
    return g + kSlope * x * g * (1 - g);
  }
  static float gate(float x) { return 1 / (1 + exp_of(-kSlope * x)); }
};

struct Relu {
  static float value(float x) { return x > 0 ? x : 0; }
  static float slope(float x) { return x > 0 ? 1.0f : 0.0f; }
};

struct Tanh {
  static float value(float x) { return tanh_of(x); }
  static float slope(float x) {
    float t = tanh_of(x);
    return 1 - t * t;
  }
};

template <class T, class A>
void forward(const T* x, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) narrow(A::value(wide(x[i])), y[i]);
}

template <class T, class A>
void backward(const T* x, const T* dy, T* dx, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) narrow(wide(dy[i]) * A::slope(wide(x[i])), dx[i]);
}

template <class T, class A>
void gated(const T* gate, const T* up, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) narrow(A::value(wide(gate[i])) * wide(up[i]), y[i]);
}

/// dgate and dup may lie where gate and up do.
template <class T, class A>
void gated_backward(const T* gate, const T* up, const T* dy, T* dgate, T* dup, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    float g = wide(gate[i]), d = wide(dy[i]), through = d * wide(up[i]) * A::slope(g);
    narrow(d * A::value(g), dup[i]);
    narrow(through, dgate[i]);
  }
}

/// Calls run with the element type and the activation.
template <class Run>
void visit(DType dtype, Activation activation, Run run) {
  visit_floating(dtype, [&]<class T>(Element<T>) {
    switch (activation) {
      case Activation::gelu:
        return run.template operator()<T, Gelu>();
      case Activation::gelu_tanh:
        return run.template operator()<T, GeluTanh>();
      case Activation::quick_gelu:
        return run.template operator()<T, SigmoidGate<1702>>();
      case Activation::silu:
        return run.template operator()<T, SigmoidGate<1000>>();
      case Activation::relu:
        return run.template operator()<T, Relu>();
      case Activation::tanh:
        return run.template operator()<T, Tanh>();
    }
  });
}

constexpr int64_t kChunk = 4096;  // elements that a thread takes at a time

template <class Piece>
void in_chunks(int64_t n, Piece piece) {
#pragma omp parallel for schedule(static) if (n > kParallelElements)
  for (int64_t first = 0; first < n; first += kChunk) piece(first, n - first < kChunk ? n - first : kChunk);
}

template <class Piece>
void in_rows(int64_t rows, int64_t columns, Piece piece) {
#pragma omp parallel for schedule(static) if (rows * columns > kParallelElements)
  for (int64_t row = 0; row < rows; ++row) piece(row);
}

void activate_simd(const Tensor& x, Activation activation, Tensor& y) {
  visit(x.dtype(), activation, [&]<class T, class A>() {
    const T* from = x.data<T>();
    T* to = y.data<T>();
    in_chunks(x.elements(), [=](int64_t first, int64_t count) { forward<T, A>(from + first, to + first, count); });
  });
}

void activate_backward_simd(const Tensor& x, const Tensor& dy, Activation activation, Tensor& dx) {
  visit(x.dtype(), activation, [&]<class T, class A>() {
    const T *from = x.data<T>(), *d = dy.data<T>();
    T* to = dx.data<T>();
    in_chunks(x.elements(),
              [=](int64_t first, int64_t count) { backward<T, A>(from + first, d + first, to + first, count); });
  });
}

void gated_activate_simd(const Tensor& x, Activation activation, Tensor& y) {
  visit(x.dtype(), activation, [&]<class T, class A>() {
    const T* from = x.data<T>();
    T* to = y.data<T>();
    int64_t n = y.shape().columns();
    in_rows(y.shape().rows(), n, [=](int64_t row) {
      const T* gate = from + 2 * row * n;
      gated<T, A>(gate, gate + n, to + row * n, n);
    });
  });
}

void gated_activate_backward_simd(const Tensor& x, const Tensor& dy, Activation activation, Tensor& dx) {
  visit(x.dtype(), activation, [&]<class T, class A>() {
    const T *from = x.data<T>(), *d = dy.data<T>();
    T* to = dx.data<T>();
    int64_t n = dy.shape().columns();
    in_rows(dy.shape().rows(), n, [=](int64_t row) {
      const T* gate = from + 2 * row * n;
      T* dgate = to + 2 * row * n;
      gated_backward<T, A>(gate, gate + n, d + row * n, dgate, dgate + n, n);
    });
  });
}

const bool provided = activate_kernel.provide(kThisIsa, activate_simd) &&
                      activate_backward_kernel.provide(kThisIsa, activate_backward_simd) &&
                      gated_activate_kernel.provide(kThisIsa, gated_activate_simd) &&
                      gated_activate_backward_kernel.provide(kThisIsa, gated_activate_backward_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
