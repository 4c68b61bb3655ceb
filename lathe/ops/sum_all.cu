#include "lathe/ops/sum_all.h"

#include "lathe/ops/norm_rows.cuh"

namespace lathe {
namespace {

struct Itself {
  __device__ float operator()(float x) const { return x; }
};

struct Square {
  __device__ float operator()(float x) const { return x * x; }
};

/// A team sums a row.
template <bool whole, class T, int size, class Term>
__global__ void __launch_bounds__(kThreads)
    sum_rows(const T* x, float* sums, int64_t rows, int64_t columns, Term term) {
  int64_t row = blockIdx.x * int64_t(Team<whole>::teams()) + Team<whole>::number();
  if (row >= rows) return;
  const T* from = x + row * columns;
  float parts[size] = {};
#pragma unroll 8
  for (int64_t c = Team<whole>::lane() * int64_t(size); c < columns; c += Team<whole>::lanes() * int64_t(size)) {
    float values[size];
    load(from + c, values);
#pragma unroll
    for (int i = 0; i < size; ++i) parts[i] += term(values[i]);
  }
  float sum = 0;
#pragma unroll
  for (int i = 0; i < size; ++i) sum += parts[i];
  sum = Team<whole>::sum(sum);
  if (Team<whole>::lane() == 0) sums[row] = sum;
}

constexpr int64_t kLongRow = 16384;  ///< columns from which a block, not a warp, sums a row

template <class Term>
void row_sums(const Tensor& x, Tensor& sums, Term term, const char* name) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  if (rows == 0) return;
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    visit_pack<T>(columns, {&x}, [&]<int size>(std::integral_constant<int, size>) {
      auto run = [&]<bool whole>(std::bool_constant<whole>) {
        int64_t at_once = whole ? 1 : kThreads / kWarp;
        sum_rows<whole, T, size><<<unsigned((rows + at_once - 1) / at_once), kThreads, 0, stream_of(sums)>>>(
            on_device<const T>(x), on_device<float>(sums), rows, columns, term);
        check_launch(name);
      };
      if (columns >= kLongRow) return run(std::true_type());
      run(std::false_type());
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
