#include "lathe/ops/activation_lanes.h"
#include "lathe/ops/parallel.h"

namespace lathe::LATHE_ISA {
namespace {

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
