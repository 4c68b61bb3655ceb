#include "lathe/ops/expert_choice.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"
#include "lathe/tensor/reduce.cuh"

namespace lathe {
namespace {

/// A thread for each token: experts are few.
template <class T>
__global__ void choose(const T* logits, int64_t tokens, int chosen, int count, int* experts, float* shares) {
  int64_t t = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (t >= tokens) return;
  const T* row = logits + t * count;
  int* best = experts + t * chosen;
  float *share = shares + t * chosen, sum = 0, largest = 0;
  for (int j = 0; j < chosen; ++j) {
    int found = -1;
    float value = 0;
    for (int e = 0; e < count; ++e) {
      bool taken = false;
      for (int i = 0; i < j; ++i) taken |= best[i] == e;
      float logit = to_float(row[e]);
      if (!taken && (found < 0 || logit > value)) found = e, value = logit;
    }
    if (j == 0) largest = value;
    best[j] = found;
    sum += share[j] = expf(value - largest);
  }
  for (int j = 0; j < chosen; ++j) share[j] /= sum;
}

template <class T>
__global__ void choose_backward(const int* experts, const float* shares, const float* dshares, int64_t tokens,
                                int chosen, int count, T* dlogits) {
  int64_t t = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (t >= tokens) return;
  const float *share = shares + t * chosen, *d = dshares + t * chosen;
  float mean = 0;
  for (int j = 0; j < chosen; ++j) mean += share[j] * d[j];
  for (int e = 0; e < count; ++e) dlogits[t * count + e] = from_float<T>(0.0f);
  for (int j = 0; j < chosen; ++j)
    dlogits[t * count + experts[t * chosen + j]] = from_float<T>(share[j] * (d[j] - mean));
}

/// A block for each expert, which goes through all choices kThreads at a time: those of experts before it say where its
/// rows begin, its own follow in order. The last block also writes the end.
__global__ void sort_choices(const int* experts, int64_t choices, int chosen, int* offsets, int* tokens, int* rows) {
  __shared__ int counts[kThreads];
  int own = int(blockIdx.x), thread = int(threadIdx.x), before = 0;
  for (int64_t i = thread; i < choices; i += kThreads) before += experts[i] < own;
  counts[thread] = before;
  __syncthreads();
  int next = 0;
  for (int i = 0; i < kThreads; ++i) next += counts[i];
  __syncthreads();
  if (thread == 0) offsets[own] = next;
  for (int64_t first = 0; first < choices; first += kThreads) {
    int64_t choice = first + thread;
    int mine = choice < choices && experts[choice] == own;
    counts[thread] = mine;
    __syncthreads();
    int place = next, all = 0;
    for (int i = 0; i < kThreads; ++i) {
      if (i == thread) place += all;
      all += counts[i];
    }
    if (mine) {
      tokens[place] = int(choice / chosen);
      rows[choice] = place;
    }
    next += all;
    __syncthreads();
  }
  if (thread == 0 && own + 1 == int(gridDim.x)) offsets[own + 1] = next;
}

/// A thread for each number of the output, in a grid-stride loop.
template <class T>
__global__ void mix(const T* y, const int* rows, const float* shares, int64_t elements, int chosen, int64_t columns,
                    T* out) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < elements; i += int64_t(gridDim.x) * blockDim.x) {
    int64_t t = i / columns, c = i % columns;
    float sum = 0;
    for (int64_t j = t * chosen; j < (t + 1) * chosen; ++j) sum += shares[j] * to_float(y[rows[j] * columns + c]);
    out[i] = from_float<T>(sum);
  }
}

/// A block for each choice.
template <class T>
__global__ void mix_backward(const T* y, const int* rows, const float* shares, const T* dout, int chosen,
                             int64_t columns, T* dy, float* dshares) {
  int64_t j = blockIdx.x, row = rows[j];
  float share = shares[j], dot = 0;
  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
    float d = to_float(dout[j / chosen * columns + c]);
    dot += d * to_float(y[row * columns + c]);
    dy[row * columns + c] = from_float<T>(share * d);
  }
  dot = over_block(dot, SumOf());
  if (dshares && threadIdx.x == 0) dshares[j] = dot;
}

unsigned blocks_of(int64_t tokens) { return unsigned((tokens + kThreads - 1) / kThreads); }

void choose_experts_cuda(const Tensor& logits, Tensor& experts, Tensor& shares) {
  int64_t tokens = experts.shape()[0];
  if (tokens == 0) return;
  visit_device(logits.dtype(), [&]<class T>(Element<T>) {
    choose<<<blocks_of(tokens), kThreads, 0, stream_of(shares)>>>(
        on_device<const T>(logits), tokens, int(experts.shape()[1]), int(logits.shape().columns()),
        on_device<int>(experts), on_device<float>(shares));
    check_launch("choose_experts");
  });
}

void choose_experts_backward_cuda(const Tensor& experts, const Tensor& shares, const Tensor& dshares, Tensor& dlogits) {
  int64_t tokens = experts.shape()[0];
  if (tokens == 0) return;
  visit_device(dlogits.dtype(), [&]<class T>(Element<T>) {
    choose_backward<<<blocks_of(tokens), kThreads, 0, stream_of(dlogits)>>>(
        on_device<const int>(experts), on_device<const float>(shares), on_device<const float>(dshares), tokens,
        int(experts.shape()[1]), int(dlogits.shape().columns()), on_device<T>(dlogits));
    check_launch("choose_experts_backward");
  });
}

void sort_choices_cuda(const Tensor& experts, Tensor& offsets, Tensor& tokens, Tensor& rows) {
  sort_choices<<<unsigned(offsets.elements() - 1), kThreads, 0, stream_of(rows)>>>(
      on_device<const int>(experts), experts.elements(), int(experts.shape()[1]), on_device<int>(offsets),
      on_device<int>(tokens), on_device<int>(rows));
  check_launch("sort_choices");
}

void mix_experts_cuda(const Tensor& y, const Tensor& rows, const Tensor& shares, Tensor& out) {
  if (out.elements() == 0) return;
  visit_device(y.dtype(), [&]<class T>(Element<T>) {
    mix<<<blocks_for(out.elements()), kThreads, 0, stream_of(out)>>>(
        on_device<const T>(y), on_device<const int>(rows), on_device<const float>(shares), out.elements(),
        int(shares.shape()[1]), y.shape().columns(), on_device<T>(out));
    check_launch("mix_experts");
  });
}

void mix_experts_backward_cuda(const Tensor& y, const Tensor& rows, const Tensor& shares, const Tensor& dout,
                               Tensor& dy, Tensor& dshares) {
  if (y.elements() == 0) return;
  visit_device(y.dtype(), [&]<class T>(Element<T>) {
    mix_backward<<<unsigned(shares.elements()), kThreads, 0, stream_of(dy)>>>(
        on_device<const T>(y), on_device<const int>(rows), on_device<const float>(shares), on_device<const T>(dout),
        int(shares.shape()[1]), y.shape().columns(), on_device<T>(dy), on_device<float>(dshares));
    check_launch("mix_experts_backward");
  });
}

const bool provided = choose_experts_kernel.provide(Backend::cuda, choose_experts_cuda) &&
                      choose_experts_backward_kernel.provide(Backend::cuda, choose_experts_backward_cuda) &&
                      sort_choices_kernel.provide(Backend::cuda, sort_choices_cuda) &&
                      mix_experts_kernel.provide(Backend::cuda, mix_experts_cuda) &&
                      mix_experts_backward_kernel.provide(Backend::cuda, mix_experts_backward_cuda);

}  // namespace
}  // namespace lathe
