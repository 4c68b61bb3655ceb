#include "lathe/ops/head_norm.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"
#include "lathe/tensor/reduce.cuh"

namespace lathe {
namespace {

constexpr int kBackwardThreads = 128;

/// Pointers of a call: see head_norm.h. x, y, dy and dx [tokens, all, dim].
template <class T>
struct HeadInput {
  const T* x;
  const float *q_weight, *k_weight;
  float eps, offset;
  int heads, normed, all, dim;  ///< heads of queries; with those of keys; with those of values; of each
  int64_t tokens;
  __device__ const float* weight(int head) const { return head < heads ? q_weight : k_weight; }
};

template <class T>
HeadInput<T> input_of(const Tensor& x, const HeadNorms& norms) {
  return {.x = on_device<const T>(x),
          .q_weight = on_device<const float>(norms.q_weight),
          .k_weight = on_device<const float>(norms.k_weight),
          .eps = norms.eps,
          .offset = norms.weight_offset,
          .heads = int(norms.heads),
          .normed = int(norms.heads + norms.kv_heads),
          .all = int(x.shape()[1]),
          .dim = int(x.shape()[2]),
          .tokens = x.shape()[0]};
}

/// A warp for each head of each token.
template <class T>
__global__ void __launch_bounds__(kThreads) head_norm(HeadInput<T> in, T* y, float* rstd) {
  int64_t row = blockIdx.x * int64_t(kThreads / kWarp) + threadIdx.x / kWarp;
  int lane = int(threadIdx.x) % kWarp;
  if (row >= in.tokens * in.all) return;
  int64_t token = row / in.all;
  int head = int(row % in.all);
  const T* x = in.x + row * in.dim;
  T* to = y + row * in.dim;
  if (head >= in.normed) {
    if (x != to)
      for (int c = lane; c < in.dim; c += kWarp) to[c] = x[c];
    return;
  }
  float squares = 0;
  for (int c = lane; c < in.dim; c += kWarp) squares += to_float(x[c]) * to_float(x[c]);
  float scale = 1.0f / sqrtf(over_warp(squares, SumOf()) / float(in.dim) + in.eps);
  const float* w = in.weight(head);
  for (int c = lane; c < in.dim; c += kWarp) to[c] = from_float<T>(to_float(x[c]) * scale * (w[c] + in.offset));
  if (rstd && lane == 0) rstd[token * in.normed + head] = scale;
}

/// A block for each chunk of tokens, head after head; a thread keeps the sums of its own columns in memory.
template <class T>
__global__ void __launch_bounds__(kBackwardThreads)
    head_norm_backward(HeadInput<T> in, const float* rstd, const T* dy, T* dx, float* partials) {
  float* sums = partials + blockIdx.x * int64_t(2 * in.dim);
  int thread = int(threadIdx.x);
  for (int c = thread; c < in.dim; c += kBackwardThreads) sums[c] = sums[in.dim + c] = 0;
  int64_t first = in.tokens * blockIdx.x / gridDim.x, last = in.tokens * (blockIdx.x + 1) / gridDim.x;
  for (int64_t row = first * in.all; row < last * in.all; ++row) {
    int head = int(row % in.all);
    const T *x = in.x + row * in.dim, *d = dy + row * in.dim;
    T* to = dx + row * in.dim;
    if (head >= in.normed) {
      if (d != to)
        for (int c = thread; c < in.dim; c += kBackwardThreads) to[c] = d[c];
      continue;
    }
    float scale = rstd[row / in.all * in.normed + head], dot = 0;
    const float* w = in.weight(head);
    for (int c = thread; c < in.dim; c += kBackwardThreads)
      dot += (w[c] + in.offset) * to_float(d[c]) * to_float(x[c]) * scale;
    dot = over_block(dot, SumOf()) / float(in.dim);
    float* own = sums + (head < in.heads ? 0 : in.dim);
    for (int c = thread; c < in.dim; c += kBackwardThreads) {
      float n = to_float(x[c]) * scale, gradient = to_float(d[c]);
      own[c] += gradient * n;
      to[c] = from_float<T>(scale * ((w[c] + in.offset) * gradient - n * dot));
    }
  }
}

void head_norm_cuda(const Tensor& x, const HeadNorms& norms, Tensor& y, Tensor& rstd) {
  int64_t rows = x.shape()[0] * x.shape()[1], at_once = kThreads / kWarp;
  if (rows == 0) return;
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    head_norm<<<unsigned((rows + at_once - 1) / at_once), kThreads, 0, stream_of(y)>>>(
        input_of<T>(x, norms), on_device<T>(y), on_device<float>(rstd));
    check_launch("head_norm");
  });
}

void head_norm_backward_cuda(const Tensor& x, const HeadNorms& norms, const Tensor& rstd, const Tensor& dy, Tensor& dx,
                             Tensor& partials) {
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    head_norm_backward<<<unsigned(partials.shape()[0]), kBackwardThreads, 0, stream_of(dx)>>>(
        input_of<T>(x, norms), on_device<const float>(rstd), on_device<const T>(dy), on_device<T>(dx),
        on_device<float>(partials));
    check_launch("head_norm_backward");
  });
}

const bool provided = head_norm_kernel.provide(Backend::cuda, head_norm_cuda) &&
                      head_norm_backward_kernel.provide(Backend::cuda, head_norm_backward_cuda);

}  // namespace
}  // namespace lathe
