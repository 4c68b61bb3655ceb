#pragma once
// Activations of one number in device code.

#include <cuda_runtime.h>

#include "lathe/ops/activation.h"

namespace lathe {

struct Point {
  float value, slope;
};

/// 1 / (1 + exp(-x)), of two approximate instructions: within 1e-6 of the exact one.
__device__ inline float sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

/// Phi by Abramowitz and Stegun 7.1.26, within 1e-7: it shares its exponential with the density. erfcf() costs twice
/// the time that memory takes.
__device__ inline Point gelu(float x) {
  float bell = __expf(-0.5f * x * x), t = __fdividef(1.0f, 1.0f + 0.3275911f * 0.70710678f * fabsf(x));
  float sum = 0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f)));
  float tail = 0.5f * t * sum * bell, cdf = x > 0 ? 1.0f - tail : tail;
  return {x * cdf, cdf + x * 0.39894228f * bell};
}

/// With tanh(u) = 2 sigmoid(2u) - 1, x (1 + tanh(u)) / 2 is x sigmoid(2u).
__device__ inline Point gelu_tanh(float x) {
  float square = x * x, gate = sigmoid(1.59576912f * x * (1.0f + 0.044715f * square));
  float d_inner = 1.59576912f * (1.0f + 3.0f * 0.044715f * square);
  float bend = gate * (1.0f - gate);
  return {x * gate, gate + (bend == 0.0f ? 0.0f : x * bend * d_inner)};  // 0 * inf far from zero
}

__device__ inline Point sigmoid_gate(float x, float slope) {
  float gate = sigmoid(slope * x);
  return {x * gate, gate + slope * x * gate * (1.0f - gate)};
}

/// 2 sigmoid(2x) - 1.
__device__ inline Point tanh_point(float x) {
  float t = 2.0f * sigmoid(2.0f * x) - 1.0f;
  return {t, 1.0f - t * t};
}

template <Activation activation>
__device__ Point at(float x) {
  if constexpr (activation == Activation::gelu) return gelu(x);
  if constexpr (activation == Activation::gelu_tanh) return gelu_tanh(x);
  if constexpr (activation == Activation::quick_gelu) return sigmoid_gate(x, 1.702f);
  if constexpr (activation == Activation::silu) return sigmoid_gate(x, 1.0f);
  if constexpr (activation == Activation::tanh) return tanh_point(x);
  return {x > 0 ? x : 0.0f, x > 0 ? 1.0f : 0.0f};
}

/// Its value, where the activation is not known to the compiler.
__device__ inline float activated(Activation activation, float x) {
  using enum Activation;
  switch (activation) {
    case gelu:
      return at<gelu>(x).value;
    case gelu_tanh:
      return at<gelu_tanh>(x).value;
    case quick_gelu:
      return at<quick_gelu>(x).value;
    case silu:
      return at<silu>(x).value;
    case relu:
      return at<relu>(x).value;
    case tanh:
      return at<tanh>(x).value;
  }
  return x;
}

}  // namespace lathe
