#include "lathe/ops/embedding.h"

#include "lathe/ops/row_packs.cuh"

namespace lathe {
namespace {

template <class T, int size>
struct AddRows {
  const int32_t *first_ids, *second_ids;
  const T *first, *second;
  T* out;
  int64_t columns;
  __device__ void operator()(int64_t row, int64_t column) const {
    float sum[size], b[size];
    load(first + first_ids[row] * columns + column, sum);
    load(second + second_ids[row] * columns + column, b);
#pragma unroll
    for (int i = 0; i < size; ++i) sum[i] += b[i];
    store(sum, out + row * columns + column);
  }
};

void embedding_sum_cuda(const Tensor& first_ids, const Tensor& first, const Tensor& second_ids, const Tensor& second,
                        Tensor& out) {
  int64_t columns = out.shape().columns();
  visit_device(out.dtype(), [&]<class T>(Element<T>) {
    visit_pack<T>(columns, {&first, &second, &out}, [&]<int size>(std::integral_constant<int, size>) {
      AddRows<T, size> add{on_device<const int32_t>(first_ids),
                           on_device<const int32_t>(second_ids),
                           on_device<const T>(first),
                           on_device<const T>(second),
                           on_device<T>(out),
                           columns};
      for_each_pack<size>(first_ids.elements(), columns, stream_of(out), add, "embedding_sum");
    });
  });
}

const bool provided = embedding_sum_kernel.provide(Backend::cuda, embedding_sum_cuda);

}  // namespace
}  // namespace lathe
