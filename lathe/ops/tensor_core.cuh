#pragma once
// A warp's products of small bf16 matrices with f32 sums (mma.sync m16n8k16, PTX ISA 9.7.14), and copies to shared
// memory behind the back of the threads. Sums of a [16, n] matrix lie as float [n / 8][4] in each lane: entries 0 and 1
// in row lane / 4, 2 and 3 eight rows below, columns 2 * (lane % 4) and the next.

#include <cuda_bf16.h>

#include <cstdint>

namespace lathe {

using bf16 = __nv_bfloat16;

#ifndef LATHE_EMULATED
__device__ inline unsigned shared_address(const void* pointer) { return unsigned(__cvta_generic_to_shared(pointer)); }

/// 16 bytes from global to shared memory, zeros unless `valid`.
__device__ inline void copy_async_16(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ inline void copy_async_4(void* to, const void* from, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 4 : 0)
               : "memory");
}
__device__ inline void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Until all but the last `pending` commits of this thread have arrived.
template <int pending>
__device__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

/// Four 8x8 matrices whose rows begin where lanes 0-7, 8-15, 16-23 and 24-31 point.
__device__ inline void load_matrices(unsigned (&to)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void load_matrices_transposed(unsigned (&to)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}
/// sums [16, 8] += a [16, 16] b [16, 8].
__device__ inline void multiply_add(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline float exp2_of(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
#endif

/// Two values as neighbouring bf16, the first in the lower half.
__device__ inline unsigned packed_pair(float first, float second) {
  __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  return *reinterpret_cast<unsigned*>(&pair);
}

/// A matrix in shared memory: rows of `columns` values, 16 bytes apart from the next so that ldmatrix meets no bank
/// twice.
template <int columns>
struct SharedRows {
  static constexpr int kStride = columns + 8;
  static constexpr int values(int rows) { return rows * kStride; }
};

/// sums [16, n] += a [16, dim] b^T, b [n, dim]; both in shared memory.
template <int dim, int n>
__device__ void multiply_rows(const bf16* a, const bf16* b, float (&sums)[n / 8][4]) {
  constexpr int stride = SharedRows<dim>::kStride;
  int lane = int(threadIdx.x) % 32;
  a += lane % 16 * stride + lane / 16 * 8;
  b += (lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8;
#pragma unroll
  for (int k = 0; k < dim; k += 16) {
    unsigned left[4], right[4];
    load_matrices(left, a + k);
#pragma unroll
    for (int i = 0; i < n / 16; ++i) {
      load_matrices(right, b + i * 16 * stride + k);
      multiply_add(sums[2 * i], left, right[0], right[1]);
      multiply_add(sums[2 * i + 1], left, right[2], right[3]);
    }
  }
}

/// sums [16, columns] += weights [16, n] b, weights as sums lie, b [n, columns] in shared memory rows of `dim`.
template <int dim, int n, int columns>
__device__ void multiply_weights(const float (&weights)[n / 8][4], const bf16* b, float (&sums)[columns / 8][4]) {
  constexpr int stride = SharedRows<dim>::kStride;
  int lane = int(threadIdx.x) % 32;
  b += lane % 16 * stride + lane / 16 * 8;
#pragma unroll
  for (int i = 0; i < n / 16; ++i) {
    const float(&even)[4] = weights[2 * i], (&odd)[4] = weights[2 * i + 1];
    unsigned left[4] = {packed_pair(even[0], even[1]), packed_pair(even[2], even[3]), packed_pair(odd[0], odd[1]),
                        packed_pair(odd[2], odd[3])};
#pragma unroll
    for (int j = 0; j < columns / 16; ++j) {
      unsigned right[4];
      load_matrices_transposed(right, b + i * 16 * stride + j * 16);
      multiply_add(sums[2 * j], left, right[0], right[1]);
      multiply_add(sums[2 * j + 1], left, right[2], right[3]);
    }
  }
}

/// Begins to copy `rows` rows of `dim` values, `row` apart in global memory, those from `limit` on as zeros.
template <int dim, int rows, int threads>
__device__ void copy_rows_async(const bf16* from, int64_t row, int limit, bf16* to) {
  constexpr int chunks = dim / 8;
  for (int i = int(threadIdx.x) % threads; i < rows * chunks; i += threads) {
    int r = i / chunks, c = i % chunks * 8;
    copy_async_16(to + r * SharedRows<dim>::kStride + c, from + (r < limit ? r * row + c : 0), r < limit);
  }
}

}  // namespace lathe
