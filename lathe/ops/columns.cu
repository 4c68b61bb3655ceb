#include "lathe/ops/columns.h"

#include "lathe/ops/copy_rows.cuh"

namespace lathe {
namespace {

void copy_columns_cuda(const Tensor& x, int64_t from, int64_t to, int64_t count, Tensor& out) {
  int64_t size = size_of(x.dtype());
  copy_rows({.from = x.data<std::byte>() + from * size,
             .to = out.data<std::byte>() + to * size,
             .from_stride = x.shape().columns() * size,
             .to_stride = out.shape().columns() * size},
            x.shape().rows(), count * size, stream_of(out), "copy_columns");
}

template <class T, int size>
struct AddColumns {
  const T* delta;
  T* y;  ///< at its first column that delta is added to
  int64_t count, stride;
  __device__ void operator()(int64_t row, int64_t column) const {
    float sum[size], d[size];
    load(y + row * stride + column, sum);
    load(delta + row * count + column, d);
#pragma unroll
    for (int i = 0; i < size; ++i) sum[i] += d[i];
    store(sum, y + row * stride + column);
  }
};

void add_columns_cuda(const Tensor& delta, int64_t first, Tensor& y) {
  int64_t rows = y.shape().rows(), stride = y.shape().columns(), count = delta.shape().columns();
  visit_device(y.dtype(), [&]<class T>(Element<T>) {
    auto run = [&]<int size>(std::integral_constant<int, size>) {
      AddColumns<T, size> add{on_device<const T>(delta), on_device<T>(y) + first, count, stride};
      for_each_pack<size>(rows, count, stream_of(y), add, "add_columns");
    };
    if ((first | stride) % kPackOf<T> == 0) return visit_pack<T>(count, {&delta, &y}, run);
    run(std::integral_constant<int, 1>());
  });
}

const bool provided = copy_columns_kernel.provide(Backend::cuda, copy_columns_cuda) &&
                      add_columns_kernel.provide(Backend::cuda, add_columns_cuda);

}  // namespace
}  // namespace lathe
