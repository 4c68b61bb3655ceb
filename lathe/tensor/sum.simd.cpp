#include "lathe/tensor/sum.h"

#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

constexpr int64_t kParallel = 1 << 16;

void accumulate_simd(const Tensor& x, Tensor& sum) {
  visit_floating(x.dtype(), [&]<class X>(Element<X>) {
    visit_floating(sum.dtype(), [&]<class S>(Element<S>) {
      const X* from = x.data<X>();
      S* to = sum.data<S>();
      int64_t n = x.elements();
#pragma omp parallel for simd schedule(static) if (n > kParallel)
      for (int64_t i = 0; i < n; ++i) narrow(wide(to[i]) + wide(from[i]), to[i]);
    });
  });
}

void sum_simd(const Tensor& a, const Tensor& b, Tensor& out) {
  visit_floating(out.dtype(), [&]<class T>(Element<T>) {
    const T *x = a.data<T>(), *y = b.data<T>();
    T* to = out.data<T>();
    int64_t n = out.elements();
#pragma omp parallel for simd schedule(static) if (n > kParallel)
    for (int64_t i = 0; i < n; ++i) narrow(wide(x[i]) + wide(y[i]), to[i]);
  });
}

void copy_simd(const Tensor& x, Tensor& out) {
  visit_floating(x.dtype(), [&]<class X>(Element<X>) {
    visit_floating(out.dtype(), [&]<class O>(Element<O>) {
      const X* from = x.data<X>();
      O* to = out.data<O>();
      int64_t n = x.elements();
#pragma omp parallel for simd schedule(static) if (n > kParallel)
      for (int64_t i = 0; i < n; ++i) narrow(wide(from[i]), to[i]);
    });
  });
}

const bool provided = accumulate_kernel.provide(kThisIsa, accumulate_simd) && sum_kernel.provide(kThisIsa, sum_simd) &&
                      copy_kernel.provide(kThisIsa, copy_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
