#include "lathe/ops/elementwise.h"

#include "lathe/ops/column_sums.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

void require_same(const char* name, const Tensor& a, const Tensor& b) {
  require(a.shape() == b.shape() && a.dtype() == b.dtype(), name, ": ", name_of(a.dtype()), ' ', a.shape(),
          " does not fit ", name_of(b.dtype()), ' ', b.shape());
}

Tensor product(const Tensor& a, const Tensor& b, Tensor out) {
  multiply_kernel({a.elements(), a.bytes() + b.bytes() + out.bytes()}, a, b, out);
  return out;
}

Tensor scaled(const Tensor& x, float factor, Tensor out) {
  scale_kernel({x.elements(), x.bytes() + out.bytes()}, x, factor, out);
  return out;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  require_same("add", a, b);
  Tensor out = sum(a, b);
  record({&out}, {&a, &b}, {[](std::span<const Tensor> dy) -> Gradients { return {dy[0], dy[0]}; }});
  return out;
}

Tensor scale(const Tensor& x, float factor) {
  Tensor out = scaled(x, factor, Tensor::empty_like(x));
  record({&out}, {&x}, {[factor](std::span<const Tensor> dy) -> Gradients {
           return {scaled(dy[0], factor, dy[0].unique() ? dy[0].detached() : Tensor::empty_like(dy[0]))};
         }});
  return out;
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  require_same("multiply", a, b);
  Tensor out = product(a, b, Tensor::empty_like(a));
  if (!recording({&a, &b})) return out;
  Tensor kept_a = b.needs_gradient() ? a.detached() : Tensor(), kept_b = a.needs_gradient() ? b.detached() : Tensor();
  record({&out}, {&a, &b}, {[kept_a, kept_b](std::span<const Tensor> dy) -> Gradients {
           Gradients gradients(2);
           if (kept_b) gradients[0] = product(dy[0], kept_b, Tensor::empty_like(dy[0]));
           if (kept_a)
             gradients[1] = product(dy[0], kept_a, dy[0].unique() ? dy[0].detached() : Tensor::empty_like(dy[0]));
           return gradients;
         }});
  return out;
}

Tensor reshape(const Tensor& x, Shape shape) {
  require(shape.elements() == x.elements(), "reshape: x ", x.shape(), " has ", x.elements(), " elements, ", shape,
          " would have ", shape.elements());
  Tensor out = x.alias(shape);
  record({&out}, {&x}, {[from = x.shape()](std::span<const Tensor> dy) -> Gradients { return {dy[0].alias(from)}; }});
  return out;
}

Tensor add_bias(const Tensor& x, const Tensor& bias) {
  require(bias.elements() == x.shape().columns() && bias.dtype() == DType::f32, "add_bias: bias ",
          name_of(bias.dtype()), ' ', bias.shape(), " does not fit x ", x.shape(), "; it must be f32");
  Tensor out = Tensor::empty_like(x);
  add_bias_kernel({x.elements(), x.bytes() + bias.bytes() + out.bytes()}, x, bias, out);
  record({&out}, {&x, &bias}, {[bias](std::span<const Tensor> dy) -> Gradients {
           return {dy[0], bias.needs_gradient() ? bias_gradient(dy[0], bias) : Tensor()};
         }});
  return out;
}

Tensor with_loss(const Tensor& hidden, const Tensor& auxiliary, float scale) {
  require(auxiliary.elements() == 1, "with_loss: an auxiliary loss is one number, not ", auxiliary.shape());
  Tensor out = hidden.detached();
  record({&out}, {&hidden, &auxiliary},
         {[shape = auxiliary.shape(), dtype = auxiliary.dtype(), scale](std::span<const Tensor> dy) -> Gradients {
           Tensor seed = Tensor::empty(shape, dtype);
           fill(seed, scale);
           return {dy[0], seed};
         }});
  return out;
}

namespace {

void scale_plain(const Tensor& x, float factor, Tensor& out) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const T* from = x.data<T>();
    T* to = out.data<T>();
    int64_t n = x.elements();
#pragma omp parallel for schedule(static) if (n > kParallelElements)
    for (int64_t i = 0; i < n; ++i) to[i] = T(factor * float(from[i]));
  });
}

void multiply_plain(const Tensor& a, const Tensor& b, Tensor& out) {
  visit_floating(a.dtype(), [&]<class T>(Element<T>) {
    const T *left = a.data<T>(), *right = b.data<T>();
    T* to = out.data<T>();
    int64_t n = a.elements();
#pragma omp parallel for schedule(static) if (n > kParallelElements)
    for (int64_t i = 0; i < n; ++i) to[i] = T(float(left[i]) * float(right[i]));
  });
}

void add_bias_plain(const Tensor& x, const Tensor& bias, Tensor& out) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const T* from = x.data<T>();
    const float* b = bias.data<float>();
    T* to = out.data<T>();
    int64_t rows = x.shape().rows(), columns = x.shape().columns();
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) to[r * columns + c] = T(float(from[r * columns + c]) + b[c]);
  });
}

const bool provided = scale_kernel.provide(Isa::plain, scale_plain) &&
                      multiply_kernel.provide(Isa::plain, multiply_plain) &&
                      add_bias_kernel.provide(Isa::plain, add_bias_plain);

}  // namespace
}  // namespace lathe
