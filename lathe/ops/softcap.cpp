#include "lathe/ops/softcap.h"

#include <cmath>

#include "lathe/ops/gradient_target.h"
#include "lathe/ops/parallel.h"
#include "lathe/tensor/tape.h"

namespace lathe {

Tensor softcap(Tensor x, float cap) {
  require(cap > 0, "softcap: a cap of ", cap, " must be positive");
  Tensor y = x.unique() && !x.is_leaf() ? x.detached() : Tensor::empty_like(x);
  softcap_kernel({10 * x.elements(), 2 * x.bytes()}, x, cap, y);
  record({&y}, {&x}, {[y = y.detached(), cap](std::span<const Tensor> dy) -> Gradients {
           Tensor dx = gradient_over(dy[0], y);
           softcap_backward_kernel({4 * y.elements(), 3 * y.bytes()}, y, dy[0], cap, dx);
           return {dx};
         }});
  return y;
}

namespace {

void softcap_plain(const Tensor& x, float cap, Tensor& y) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const T* from = x.data<T>();
    T* to = y.data<T>();
    int64_t n = x.elements();
#pragma omp parallel for schedule(static) if (n > kParallelElements)
    for (int64_t i = 0; i < n; ++i) to[i] = T(cap * std::tanh(float(from[i]) / cap));
  });
}

void softcap_backward_plain(const Tensor& y, const Tensor& dy, float cap, Tensor& dx) {
  visit_floating(y.dtype(), [&]<class T>(Element<T>) {
    const T *bent = y.data<T>(), *d = dy.data<T>();
    T* to = dx.data<T>();
    int64_t n = y.elements();
#pragma omp parallel for schedule(static) if (n > kParallelElements)
    for (int64_t i = 0; i < n; ++i) {
      float t = float(bent[i]) / cap;
      to[i] = T(float(d[i]) * (1 - t * t));
    }
  });
}

const bool provided = softcap_kernel.provide(Isa::plain, softcap_plain) &&
                      softcap_backward_kernel.provide(Isa::plain, softcap_backward_plain);

}  // namespace
}  // namespace lathe
