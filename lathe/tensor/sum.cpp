#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

void same_elements(const Tensor& x, const Tensor& y) {
  if (x.elements() != y.elements()) throw InternalError(text("a tensor ", x.shape(), " does not fit ", y.shape()));
}

void accumulate_plain(const Tensor& x, Tensor& sum) {
  visit_floating(x.dtype(), [&]<class X>(Element<X>) {
    visit_floating(sum.dtype(), [&]<class S>(Element<S>) {
      const X* from = x.data<X>();
      S* to = sum.data<S>();
      int64_t n = x.elements();
#pragma omp parallel for simd schedule(static) if (n > 65536)
      for (int64_t i = 0; i < n; ++i) to[i] = S(float(to[i]) + float(from[i]));
    });
  });
}

void sum_plain(const Tensor& a, const Tensor& b, Tensor& out) {
  visit_floating(out.dtype(), [&]<class T>(Element<T>) {
    const T *x = a.data<T>(), *y = b.data<T>();
    T* to = out.data<T>();
    int64_t n = out.elements();
#pragma omp parallel for simd schedule(static) if (n > 65536)
    for (int64_t i = 0; i < n; ++i) to[i] = T(float(x[i]) + float(y[i]));
  });
}

void copy_plain(const Tensor& x, Tensor& out) {
  visit_floating(x.dtype(), [&]<class X>(Element<X>) {
    visit_floating(out.dtype(), [&]<class O>(Element<O>) {
      const X* from = x.data<X>();
      O* to = out.data<O>();
      int64_t n = x.elements();
#pragma omp parallel for simd schedule(static) if (n > 65536)
      for (int64_t i = 0; i < n; ++i) to[i] = O(float(from[i]));
    });
  });
}

void fill_plain(float value, Tensor& out) {
  visit_floating(out.dtype(), [&]<class T>(Element<T>) {
    T* to = out.data<T>();
    int64_t n = out.elements();
#pragma omp parallel for simd schedule(static) if (n > 65536)
    for (int64_t i = 0; i < n; ++i) to[i] = T(value);
  });
}

const bool provided = accumulate_kernel.provide(Isa::plain, accumulate_plain) &&
                      sum_kernel.provide(Isa::plain, sum_plain) && copy_kernel.provide(Isa::plain, copy_plain) &&
                      fill_kernel.provide(Isa::plain, fill_plain);

}  // namespace

void accumulate(const Tensor& x, Tensor& sum) {
  same_elements(x, sum);
  accumulate_kernel({x.elements(), x.bytes() + 2 * sum.bytes()}, x, sum);
}

void copy(const Tensor& x, Tensor& out) {
  same_elements(x, out);
  copy_kernel({0, x.bytes() + out.bytes()}, x, out);
}

void fill(Tensor& out, float value) { fill_kernel({0, out.bytes()}, value, out); }

Tensor sum(const Tensor& a, const Tensor& b) {
  same_elements(a, b);
  Tensor out = Tensor::empty_like(a);
  sum_kernel({a.elements(), 3 * a.bytes()}, a, b, out);
  return out;
}

Tensor copied(const Tensor& x) {
  Tensor out = Tensor::empty_like(x);
  copy(x, out);
  return out;
}

Tensor zeros(Shape shape, DType dtype) {
  Tensor tensor = Tensor::empty(shape, dtype);
  fill(tensor, 0);
  return tensor;
}

Tensor converted(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x.detached();
  Tensor out = Tensor::empty(x.shape(), dtype);
  copy(x, out);
  return out;
}

}  // namespace lathe
