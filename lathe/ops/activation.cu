#include "lathe/ops/activation.h"

#include <type_traits>

#include "lathe/ops/activation.cuh"
#include "lathe/ops/row_packs.cuh"
#include "lathe/tensor/map.cuh"

namespace lathe {
namespace {

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
