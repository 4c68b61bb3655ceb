#pragma once
// Kernels that make each element of the output from the same element of up to two inputs.

#include "lathe/tensor/dependent.cuh"
#include "lathe/tensor/elements.cuh"

namespace lathe {

/// A grid-stride loop; each thread takes `size` neighbouring elements at a time.
template <int size, class A, class B, class Out, class Function>
__global__ void map_kernel(const A* a, const B* b, Out* out, int64_t packs, Function function) {
  take_turn();
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < packs; i += int64_t(gridDim.x) * blockDim.x) {
    float left[size], right[size], result[size];
    load(a + i * size, left);
    if (b) load(b + i * size, right);
#pragma unroll
    for (int j = 0; j < size; ++j) result[j] = function(left[j], b ? right[j] : 0.0f);
    store(result, out + i * size);
  }
}

template <int size, class A, class B, class Out, class Function>
void launch_map(const Tensor& a, const Tensor& b, Tensor& out, Function function, const char* name) {
  int64_t packs = out.elements() / size;
  if (packs == 0) return;
  launch_early(map_kernel<size, A, B, Out, Function>, {blocks_for(packs), kThreads, stream_of(out)}, name,
               on_device<const A>(a), on_device<const B>(b), on_device<Out>(out), packs, function);
}

/// out[i] = function(a[i], b[i]) in f32; b may be empty. `out` may be an input.
template <class A, class B, class Out, class Function>
void map_elements(const Tensor& a, const Tensor& b, Tensor& out, Function function, const char* name) {
  constexpr int kPack = 16 / int(std::max({sizeof(A), sizeof(B), sizeof(Out)}));
  if (packs_fit(kPack, out.elements(), {&a, &b, &out}))
    launch_map<kPack, A, B, Out>(a, b, out, function, name);
  else
    launch_map<1, A, B, Out>(a, b, out, function, name);
}

/// The same for tensors of one floating type.
template <class Function>
void map_alike(const Tensor& a, const Tensor& b, Tensor& out, Function function, const char* name) {
  visit_device(out.dtype(), [&]<class T>(Element<T>) { map_elements<T, T, T>(a, b, out, function, name); });
}

}  // namespace lathe
