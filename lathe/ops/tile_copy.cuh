#pragma once
// Tiles of matrices in global memory, copied by the hardware (cp.async.bulk.tensor) into the layout of SwizzledRows,
// and runs of bytes out of shared memory. Compute capability 9.0.

#include <cuda.h>

#include "lathe/ops/bulk_copy.cuh"

namespace lathe {

/// For tiles of `tile_rows` x 64 of a matrix [rows, columns] with rows `row` values apart. Rows that are not there
/// arrive as zeros. Both `first` and the rows lie at multiples of 16 bytes.
CUtensorMap tiles_of_matrix(const void* first, int64_t rows, int64_t columns, int64_t row, int tile_rows);

/// Begins to copy rows from `row` on and columns [column, column + columns) of SwizzledRows<tile_rows, columns>;
/// `barrier` counts the bytes, of rows that are not there too.
template <int tile_rows, int columns>
__device__ void copy_tile(const CUtensorMap& map, int row, int column, bf16* to, uint64_t* barrier) {
#pragma unroll
  for (int block = 0; block < columns / 64; ++block)
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
            shared_address(to + block * tile_rows * 64)),
        "l"(&map), "r"(column + block * 64), "r"(row), "r"(shared_address(barrier))
        : "memory");
}

/// Begins to copy as many rows as the map's tiles have, of SwizzledRows<tile_rows, columns>, the other way; none that
/// is not there.
template <int tile_rows, int columns>
__device__ void store_tile(const CUtensorMap& map, int row, int column, const bf16* from) {
#pragma unroll
  for (int block = 0; block < columns / 64; ++block)
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&map),
                 "r"(column + block * 64), "r"(row), "r"(shared_address(from + block * tile_rows * 64))
                 : "memory");
}

/// Begins to copy `bytes`, a multiple of 16 as are both addresses, from shared to global memory.
__device__ inline void store_bulk(const void* from, void* to, int bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(shared_address(from)),
               "r"(bytes)
               : "memory");
}
/// The same for floats that are added to those there.
__device__ inline void add_bulk(const float* from, float* to, int bytes) {
  asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(to),
               "r"(shared_address(from)), "r"(bytes)
               : "memory");
}
__device__ inline void store_bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
/// Until what this thread committed is read; until it is written.
__device__ inline void store_bulk_wait_read() { asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }
__device__ inline void store_bulk_wait() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }

/// What a thread wrote before store_release(), or waited for as store_bulk_wait() does, is seen by one that
/// load_acquire()d what it stored; by the copies of that one too, after show_to_copies().
__device__ inline int load_acquire(const int* from) {
  int value;
  asm volatile("ld.acquire.gpu.global.b32 %0, [%1];" : "=r"(value) : "l"(from) : "memory");
  return value;
}
__device__ inline void store_release(int* to, int value) {
  asm volatile("st.release.gpu.global.b32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
}
__device__ inline void show_to_copies() { asm volatile("fence.proxy.async.global;" ::: "memory"); }

}  // namespace lathe
