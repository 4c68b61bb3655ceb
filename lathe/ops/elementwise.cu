#include "lathe/ops/elementwise.h"

#include "lathe/ops/row_packs.cuh"
#include "lathe/tensor/map.cuh"

namespace lathe {
namespace {

struct Scale {
  float factor;
  __device__ float operator()(float x, float) const { return factor * x; }
};

struct Multiply {
  __device__ float operator()(float a, float b) const { return a * b; }
};

template <class T, int size>
struct AddBias {
  const T* x;
  const float* bias;
  T* out;
  int64_t columns;
  __device__ void operator()(int64_t row, int64_t column) const {
    float sum[size], b[size];
    load(x + row * columns + column, sum);
    load(bias + column, b);
#pragma unroll
    for (int i = 0; i < size; ++i) sum[i] += b[i];
    store(sum, out + row * columns + column);
  }
};

void scale_cuda(const Tensor& x, float factor, Tensor& out) { map_alike(x, Tensor(), out, Scale{factor}, "scale"); }

void multiply_cuda(const Tensor& a, const Tensor& b, Tensor& out) { map_alike(a, b, out, Multiply(), "multiply"); }

void add_bias_cuda(const Tensor& x, const Tensor& bias, Tensor& out) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    visit_pack<T>(columns, {&x, &bias, &out}, [&]<int size>(std::integral_constant<int, size>) {
      AddBias<T, size> add{on_device<const T>(x), on_device<const float>(bias), on_device<T>(out), columns};
      for_each_pack<size>(rows, columns, stream_of(out), add, "add_bias");
    });
  });
}

const bool provided = scale_kernel.provide(Backend::cuda, scale_cuda) &&
                      multiply_kernel.provide(Backend::cuda, multiply_cuda) &&
                      add_bias_kernel.provide(Backend::cuda, add_bias_cuda);

}  // namespace
}  // namespace lathe
