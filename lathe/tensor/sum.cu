#include "lathe/tensor/sum.h"

#include "lathe/tensor/map.cuh"

namespace lathe {
namespace {

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};

struct First {
  __device__ float operator()(float a, float) const { return a; }
};

void accumulate_cuda(const Tensor& x, Tensor& sum) {
  visit_device(x.dtype(), [&]<class X>(Element<X>) {
    visit_device(sum.dtype(), [&]<class S>(Element<S>) { map_elements<X, S, S>(x, sum, sum, Add(), "accumulate"); });
  });
}

void sum_cuda(const Tensor& a, const Tensor& b, Tensor& out) { map_alike(a, b, out, Add(), "sum"); }

void copy_cuda(const Tensor& x, Tensor& out) {
  visit_device(x.dtype(), [&]<class X>(Element<X>) {
    visit_device(out.dtype(), [&]<class O>(Element<O>) { map_elements<X, X, O>(x, Tensor(), out, First(), "copy"); });
  });
}

template <class T>
__global__ void fill_elements(float value, T* out, int64_t count) {
  T filled = from_float<T>(value);
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x)
    out[i] = filled;
}

void fill_cuda(float value, Tensor& out) {
  if (out.elements() == 0) return;
  if (value == 0)
    return check_cuda(cudaMemsetAsync(out.data<std::byte>(), 0, size_t(out.bytes()), stream_of(out)), "fill");
  visit_device(out.dtype(), [&]<class T>(Element<T>) {
    fill_elements<<<blocks_for(out.elements()), kThreads, 0, stream_of(out)>>>(value, on_device<T>(out),
                                                                               out.elements());
    check_launch("fill");
  });
}

const bool provided = accumulate_kernel.provide(Backend::cuda, accumulate_cuda) &&
                      sum_kernel.provide(Backend::cuda, sum_cuda) && copy_kernel.provide(Backend::cuda, copy_cuda) &&
                      fill_kernel.provide(Backend::cuda, fill_cuda);

}  // namespace

/// Where this plugin has the kernel `sum`; a test compares it with where the library has it.
extern "C" __attribute__((visibility("default"))) const void* lathe_cuda_sum_kernel() { return &sum_kernel; }

}  // namespace lathe
