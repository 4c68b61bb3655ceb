#include "lathe/ops/pool_sequences.h"

#include <algorithm>
#include <cmath>

#include "lathe/ops/parallel.h"
#include "lathe/tensor/tape.h"

namespace lathe {

Tensor pool_sequences(const Tensor& x, const Tensor& offsets, Pooling pooling) {
  require(x.shape().rank() == 2 && is_floating(x.dtype()), "pool_sequences: x ", name_of(x.dtype()), ' ', x.shape(),
          " must be floating [tokens, columns]");
  require(offsets.dtype() == DType::i32 && offsets.shape().rank() == 1 && offsets.shape()[0] > 1,
          "pool_sequences: offsets ", name_of(offsets.dtype()), ' ', offsets.shape(), " must be i32 [sequences + 1]");
  Tensor out = Tensor::empty({offsets.shape()[0] - 1, x.shape().columns()});
  pool_sequences_kernel({x.elements(), x.bytes() + out.bytes()}, x, offsets, pooling, out);
  record({&out}, {&x}, {[x = x.detached(), offsets, pooling](std::span<const Tensor> dy) -> Gradients {
           Tensor dx = Tensor::empty_like(x);
           pool_sequences_backward_kernel({x.elements(), x.bytes() + dx.bytes() + dy[0].bytes()}, x, offsets, pooling,
                                          dy[0], dx);
           return {dx};
         }});
  return out;
}

namespace {

/// What row `i` of `count` adds to the pooled one; not for maxima.
float share(Pooling pooling, int64_t i, int64_t count) {
  auto n = float(count);
  switch (pooling) {
    case Pooling::mean:
      return 1 / n;
    case Pooling::mean_sqrt_length:
      return 1 / std::sqrt(n);
    case Pooling::weighted_mean:
      return 2 * float(i + 1) / (n * (n + 1));
    case Pooling::first:
      return i == 0 ? 1.0f : 0.0f;
    case Pooling::last:
      return i == count - 1 ? 1.0f : 0.0f;
    case Pooling::max:
      break;
  }
  return 0;
}

template <class T>
void pool(const T* x, int64_t count, int64_t columns, Pooling pooling, float* out) {
  std::fill(out, out + columns, pooling == Pooling::max && count > 0 ? -INFINITY : 0.0f);
  for (int64_t i = 0; i < count; ++i, x += columns) {
    float weight = share(pooling, i, count);
    if (pooling == Pooling::max)
      for (int64_t c = 0; c < columns; ++c) out[c] = std::max(out[c], float(x[c]));
    else if (weight != 0)
      for (int64_t c = 0; c < columns; ++c) out[c] += weight * float(x[c]);
  }
}

template <class T>
void pool_backward(const T* x, int64_t count, int64_t columns, Pooling pooling, const float* dy, T* dx) {
  if (pooling != Pooling::max) {
    for (int64_t i = 0; i < count; ++i, dx += columns) {
      float weight = share(pooling, i, count);
      for (int64_t c = 0; c < columns; ++c) dx[c] = T(weight * dy[c]);
    }
    return;
  }
  for (int64_t c = 0; c < columns; ++c) {
    int64_t largest = 0;
    for (int64_t i = 0; i < count; ++i) {
      dx[i * columns + c] = T(0.0f);
      if (float(x[i * columns + c]) > float(x[largest * columns + c])) largest = i;
    }
    if (count > 0) dx[largest * columns + c] = T(dy[c]);
  }
}

void pool_sequences_plain(const Tensor& x, const Tensor& offsets, Pooling pooling, Tensor& out) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const int32_t* at = offsets.data<int32_t>();
    int64_t sequences = out.shape()[0], columns = out.shape()[1];
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t n = 0; n < sequences; ++n)
      pool(x.data<T>() + at[n] * columns, at[n + 1] - at[n], columns, pooling, out.data<float>() + n * columns);
  });
}

void pool_sequences_backward_plain(const Tensor& x, const Tensor& offsets, Pooling pooling, const Tensor& dy,
                                   Tensor& dx) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const int32_t* at = offsets.data<int32_t>();
    int64_t sequences = dy.shape()[0], columns = dy.shape()[1];
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t n = 0; n < sequences; ++n)
      pool_backward(x.data<T>() + at[n] * columns, at[n + 1] - at[n], columns, pooling, dy.data<float>() + n * columns,
                    dx.data<T>() + at[n] * columns);
  });
}

const bool provided = pool_sequences_kernel.provide(Isa::plain, pool_sequences_plain) &&
                      pool_sequences_backward_kernel.provide(Isa::plain, pool_sequences_backward_plain);

}  // namespace
}  // namespace lathe
