// The vector variants of column_sums.h and sum_all.h.
#include "lathe/ops/column_sums.h"
#include "lathe/ops/parallel.h"
#include "lathe/ops/sum_all.h"
#include "lathe/tensor/lanes.h"

namespace lathe::LATHE_ISA {
namespace {

template <class T>
void add_row(const T* x, float* sums, int64_t n) {
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) sums[c] += wide(x[c]);
}

void column_partials_simd(const Tensor& x, Tensor& partials) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const T* from = x.data<T>();
    float* to = partials.data<float>();
    int64_t rows = x.shape().rows(), columns = x.shape().columns(), chunks = partials.shape()[0];
#pragma omp parallel for schedule(static) if (rows * columns > kParallelElements)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      float* sums = to + chunk * columns;
      for (int64_t c = 0; c < columns; ++c) sums[c] = 0;
      for (int64_t r = rows * chunk / chunks; r < rows * (chunk + 1) / chunks; ++r)
        add_row(from + r * columns, sums, columns);
    }
  });
}

constexpr int64_t kBlock = 4096;  // squares summed in f32 before they join a sum in f64

template <class T>
double squares_of(const T* x, int64_t n) {
  double total = 0;
  for (int64_t first = 0; first < n; first += kBlock) {
    int64_t end = first + kBlock < n ? first + kBlock : n;
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t c = first; c < end; ++c) squares += wide(x[c]) * wide(x[c]);
    total += double(squares);
  }
  return total;
}

void row_sums_of_squares_simd(const Tensor& x, Tensor& sums) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const T* from = x.data<T>();
    float* to = sums.data<float>();
    int64_t rows = x.shape().rows(), columns = x.shape().columns();
#pragma omp parallel for schedule(static) if (rows * columns > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) to[r] = float(squares_of(from + r * columns, columns));
  });
}

const bool provided = column_partials_kernel.provide(kThisIsa, column_partials_simd) &&
                      row_sums_of_squares_kernel.provide(kThisIsa, row_sums_of_squares_simd);

}  // namespace
}  // namespace lathe::LATHE_ISA
