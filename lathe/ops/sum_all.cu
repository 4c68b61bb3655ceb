#include "lathe/ops/sum_all.h"

#include "lathe/ops/row_packs.cuh"
#include "lathe/tensor/reduce.cuh"

namespace lathe {
namespace {

struct Itself {
  __device__ float operator()(float x) const { return x; }
};

struct Square {
  __device__ float operator()(float x) const { return x * x; }
};

/// A block of `team` threads, a warp or more, sums one row.
template <class T, int size, class Term>
__global__ void sum_rows(const T* x, float* sums, int64_t columns, Term term) {
  const T* from = x + blockIdx.x * columns;
  float parts[size] = {};
#pragma unroll 4
  for (int64_t c = threadIdx.x * int64_t(size); c < columns; c += blockDim.x * int64_t(size)) {
    float values[size];
    load(from + c, values);
#pragma unroll
    for (int i = 0; i < size; ++i) parts[i] += term(values[i]);
  }
  float sum = 0;
#pragma unroll
  for (int i = 0; i < size; ++i) sum += parts[i];
  sum = over_block(sum, SumOf());
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// Threads of a block for one row: a pack each, whole warps.
unsigned threads_for(int64_t packs) {
  return unsigned(std::clamp<int64_t>((packs + kWarp - 1) / kWarp * kWarp, kWarp, 1024));
}

template <class Term>
void row_sums(const Tensor& x, Tensor& sums, Term term, const char* name) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  if (rows == 0) return;
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    visit_pack<T>(columns, {&x}, [&]<int size>(std::integral_constant<int, size>) {
      sum_rows<T, size><<<unsigned(rows), threads_for(columns / size), 0, stream_of(sums)>>>(
          on_device<const T>(x), on_device<float>(sums), columns, term);
      check_launch(name);
    });
  });
}

void row_sums_cuda(const Tensor& x, Tensor& sums) { row_sums(x, sums, Itself(), "row_sums"); }

void row_sums_of_squares_cuda(const Tensor& x, Tensor& sums) { row_sums(x, sums, Square(), "row_sums_of_squares"); }

constexpr int kTotalThreads = 1024;

/// One block: each thread every 1024th number, then halves onto halves.
__global__ void __launch_bounds__(kTotalThreads) total(const float* sums, int64_t count, bool add, float* out) {
  __shared__ double parts[kTotalThreads];
  double sum = 0;
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < count; i += kTotalThreads) sum += double(sums[i]);
  parts[threadIdx.x] = sum;
  for (unsigned half = kTotalThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  if (threadIdx.x == 0) out[0] = float((add ? double(out[0]) : 0.0) + parts[0]);
}

void total_cuda(const Tensor& sums, bool add, Tensor& out) {
  total<<<1, kTotalThreads, 0, stream_of(out)>>>(on_device<const float>(sums), sums.elements(), add,
                                                 on_device<float>(out));
  check_launch("total");
}

template <class T, int size>
struct Broadcast {
  const float* value;
  T* out;
  __device__ void operator()(int64_t, int64_t column) const {
    float filled[size];
#pragma unroll
    for (int i = 0; i < size; ++i) filled[i] = value[0];
    store(filled, out + column);
  }
};

void broadcast_cuda(const Tensor& value, Tensor& out) {
  visit_device(out.dtype(), [&]<class T>(Element<T>) {
    visit_pack<T>(out.elements(), {&out}, [&]<int size>(std::integral_constant<int, size>) {
      Broadcast<T, size> broadcast{on_device<const float>(value), on_device<T>(out)};
      for_each_pack<size>(1, out.elements(), stream_of(out), broadcast, "broadcast");
    });
  });
}

const bool provided = row_sums_kernel.provide(Backend::cuda, row_sums_cuda) &&
                      row_sums_of_squares_kernel.provide(Backend::cuda, row_sums_of_squares_cuda) &&
                      total_kernel.provide(Backend::cuda, total_cuda) &&
                      broadcast_kernel.provide(Backend::cuda, broadcast_cuda);

}  // namespace
}  // namespace lathe
