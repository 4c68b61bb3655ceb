#pragma once
// Kernels that walk [rows, columns] in packs of neighbouring columns, each pack independent of the others.

#include <type_traits>

#include "lathe/tensor/dependent.cuh"
#include "lathe/tensor/elements.cuh"

namespace lathe {

/// A grid-stride loop; each thread takes a pack of `size` columns at a time.
template <int size, class Index, class Function>
__global__ void row_packs_kernel(Index packs, Index packs_of_row, Function function) {
  take_turn();
  for (Index i = blockIdx.x * Index(blockDim.x) + threadIdx.x; i < packs; i += Index(gridDim.x) * blockDim.x) {
    Index row = i / packs_of_row;
    function(int64_t(row), int64_t(i - row * packs_of_row) * size);
  }
}

/// Calls function(row, column) for the first column of each pack; `columns` is a multiple of `size`.
template <int size, class Function>
void for_each_pack(int64_t rows, int64_t columns, cudaStream_t stream, Function function, const char* name) {
  int64_t packs_of_row = columns / size, packs = rows * packs_of_row;
  if (packs == 0) return;
  Launch where{blocks_for(packs), kThreads, stream};
  if (packs < int64_t{1} << 31)  // divisions of 32 bits cost a third of those of 64
    launch_early(row_packs_kernel<size, uint32_t, Function>, where, name, packs, packs_of_row, function);
  else
    launch_early(row_packs_kernel<size, int64_t, Function>, where, name, packs, packs_of_row, function);
}

/// Columns of T that are loaded at once, 16 bytes of them.
template <class T>
constexpr int kPackOf = 16 / int(sizeof(T));

/// Calls visitor(std::integral_constant<int, size>()) with kPackOf<T> where packs_fit(), else with 1.
template <class T, class Visitor>
void visit_pack(int64_t columns, std::initializer_list<const Tensor*> tensors, Visitor&& visitor) {
  if (packs_fit(kPackOf<T>, columns, tensors)) return visitor(std::integral_constant<int, kPackOf<T>>());
  visitor(std::integral_constant<int, 1>());
}

}  // namespace lathe
