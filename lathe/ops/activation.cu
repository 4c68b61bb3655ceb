#include "lathe/ops/activation.h"

#include <type_traits>

#include "lathe/ops/row_packs.cuh"
#include "lathe/tensor/map.cuh"

namespace lathe {
namespace {

struct Point {
  float value, slope;
};

/// 1 / (1 + exp(-x)), of two approximate instructions: within 1e-6 of the exact one.
__device__ float sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

/// Phi by Abramowitz and Stegun 7.1.26, within 1e-7: it shares its exponential with the density. erfcf() costs twice
/// the time that memory takes.
__device__ Point gelu(float x) {
  float bell = __expf(-0.5f * x * x), t = __fdividef(1.0f, 1.0f + 0.3275911f * 0.70710678f * fabsf(x));
  float sum = 0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f)));
  float tail = 0.5f * t * sum * bell, cdf = x > 0 ? 1.0f - tail : tail;
  return {x * cdf, cdf + x * 0.39894228f * bell};
}

/// With tanh(u) = 2 sigmoid(2u) - 1, x (1 + tanh(u)) / 2 is x sigmoid(2u).
__device__ Point gelu_tanh(float x) {
  float square = x * x, gate = sigmoid(1.59576912f * x * (1.0f + 0.044715f * square));
  float d_inner = 1.59576912f * (1.0f + 3.0f * 0.044715f * square);
  float bend = gate * (1.0f - gate);
  return {x * gate, gate + (bend == 0.0f ? 0.0f : x * bend * d_inner)};  // 0 * inf far from zero
}

__device__ Point sigmoid_gate(float x, float slope) {
  float gate = sigmoid(slope * x);
  return {x * gate, gate + slope * x * gate * (1.0f - gate)};
}

/// 2 sigmoid(2x) - 1.
__device__ Point tanh_point(float x) {
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

template <Activation activation>
struct Value {
  __device__ float operator()(float x, float) const { return at<activation>(x).value; }
};

template <Activation activation>
struct Slope {
  __device__ float operator()(float x, float dy) const { return dy * at<activation>(x).slope; }
};

/// x [rows, 2n]: gates, then what they let through; y [rows, n].
template <class T, Activation activation, int size>
struct Gate {
  const T* x;
  T* y;
  int64_t n;
  __device__ void operator()(int64_t row, int64_t column) const {
    float gate[size], up[size];
    load(x + 2 * row * n + column, gate);
    load(x + (2 * row + 1) * n + column, up);
#pragma unroll
    for (int i = 0; i < size; ++i) up[i] *= at<activation>(gate[i]).value;
    store(up, y + row * n + column);
  }
};

template <class T, Activation activation, int size>
struct GateBackward {
  const T *x, *dy;
  T* dx;
  int64_t n;
  __device__ void operator()(int64_t row, int64_t column) const {
    float gate[size], up[size], d[size];
    load(x + 2 * row * n + column, gate);
    load(x + (2 * row + 1) * n + column, up);
    load(dy + row * n + column, d);
#pragma unroll
    for (int i = 0; i < size; ++i) {
      Point point = at<activation>(gate[i]);
      gate[i] = d[i] * up[i] * point.slope;
      up[i] = d[i] * point.value;
    }
    store(gate, dx + 2 * row * n + column);
    store(up, dx + (2 * row + 1) * n + column);
  }
};

/// Calls `visitor` with the activation as a constant.
template <class Visitor>
void visit_activation(Activation activation, Visitor&& visitor) {
  using enum Activation;
  switch (activation) {
    case gelu:
      return visitor(std::integral_constant<Activation, gelu>());
    case gelu_tanh:
      return visitor(std::integral_constant<Activation, gelu_tanh>());
    case quick_gelu:
      return visitor(std::integral_constant<Activation, quick_gelu>());
    case silu:
      return visitor(std::integral_constant<Activation, silu>());
    case relu:
      return visitor(std::integral_constant<Activation, relu>());
    case tanh:
      return visitor(std::integral_constant<Activation, tanh>());
  }
}

void activate_cuda(const Tensor& x, Activation activation, Tensor& y) {
  visit_activation(activation, [&]<Activation a>(std::integral_constant<Activation, a>) {
    map_alike(x, Tensor(), y, Value<a>(), "activate");
  });
}

void activate_backward_cuda(const Tensor& x, const Tensor& dy, Activation activation, Tensor& dx) {
  visit_activation(activation, [&]<Activation a>(std::integral_constant<Activation, a>) {
    map_alike(x, dy, dx, Slope<a>(), "activate_backward");
  });
}

void gated_activate_cuda(const Tensor& x, Activation activation, Tensor& y) {
  int64_t rows = y.shape().rows(), n = y.shape().columns();
  visit_activation(activation, [&]<Activation a>(std::integral_constant<Activation, a>) {
    visit_device(y.dtype(), [&]<class T>(Element<T>) {
      visit_pack<T>(n, {&x, &y}, [&]<int size>(std::integral_constant<int, size>) {
        Gate<T, a, size> gate{on_device<const T>(x), on_device<T>(y), n};
        for_each_pack<size>(rows, n, stream_of(y), gate, "gated_activate");
      });
    });
  });
}

void gated_activate_backward_cuda(const Tensor& x, const Tensor& dy, Activation activation, Tensor& dx) {
  int64_t rows = dy.shape().rows(), n = dy.shape().columns();
  visit_activation(activation, [&]<Activation a>(std::integral_constant<Activation, a>) {
    visit_device(dx.dtype(), [&]<class T>(Element<T>) {
      visit_pack<T>(n, {&x, &dy, &dx}, [&]<int size>(std::integral_constant<int, size>) {
        GateBackward<T, a, size> gate{on_device<const T>(x), on_device<const T>(dy), on_device<T>(dx), n};
        for_each_pack<size>(rows, n, stream_of(dx), gate, "gated_activate_backward");
      });
    });
  });
}

const bool provided = activate_kernel.provide(Backend::cuda, activate_cuda) &&
                      activate_backward_kernel.provide(Backend::cuda, activate_backward_cuda) &&
                      gated_activate_kernel.provide(Backend::cuda, gated_activate_cuda) &&
                      gated_activate_backward_kernel.provide(Backend::cuda, gated_activate_backward_cuda);

}  // namespace
}  // namespace lathe
