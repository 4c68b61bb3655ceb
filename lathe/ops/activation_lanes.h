#pragma once

// Activations as vector loops take them; for *.simd.cpp alone.

#include "lathe/ops/activation.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {

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

/// y = A(x), which may be the same bytes.
template <class T, class A>
void forward(const T* x, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) narrow(A::value(wide(x[i])), y[i]);
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

}  // namespace lathe::LATHE_ISA
