#include "lathe/ops/softcap.h"

#include "lathe/ops/parallel.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

void softcap_simd(const Tensor& x, float cap, Tensor& y) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const T* from = x.data<T>();
    T* to = y.data<T>();
    int64_t n = x.elements();
    float inverse = 1 / cap;
#pragma omp parallel for simd schedule(static) if (n > kParallelElements)
    for (int64_t i = 0; i < n; ++i) narrow(cap * tanh_of(wide(from[i]) * inverse), to[i]);
  });
}

void softcap_backward_simd(const Tensor& y, const Tensor& dy, float cap, Tensor& dx) {
  visit_floating(y.dtype(), [&]<class T>(Element<T>) {
    const T *bent = y.data<T>(), *d = dy.data<T>();
    T* to = dx.data<T>();
    int64_t n = y.elements();
    float inverse = 1 / cap;
#pragma omp parallel for simd schedule(static) if (n > kParallelElements)
    for (int64_t i = 0; i < n; ++i) {
      float t = wide(bent[i]) * inverse;
      narrow(wide(d[i]) * (1 - t * t), to[i]);
    }
  });
}

const bool provided =
    softcap_kernel.provide(kThisIsa, softcap_simd) && softcap_backward_kernel.provide(kThisIsa, softcap_backward_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
