#pragma once
// Products of a warpgroup (128 threads) from shared memory (wgmma, PTX ISA 9.7.15), and barriers between warps that
// copy and warps that compute. Compute capability 9.0. Sums of a [64, n] matrix lie as those of tensor_core.cuh, warp i
// of the group having rows 16 i and on.

#include "lathe/ops/tensor_core.cuh"

#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define LATHE_NO_GROUPS  // code for another architecture: kernels of warpgroups are empty, and never launched
#endif

namespace lathe {

/// A matrix of `rows` (a multiple of 8) x `columns` (of 64) bf16 in shared memory, 1024-byte aligned: blocks of 64
/// columns, one after the other; a row of a block has 128 bytes, whose 16-byte pieces are swapped by the row's number.
template <int rows, int columns>
struct SwizzledRows {
  static constexpr int kBlock = rows * 64, kValues = rows * columns;
  /// Where piece `piece` (8 values) of a row begins.
  __device__ static int place(int row, int piece) { return piece / 8 * kBlock + row * 64 + (piece % 8 ^ row % 8) * 8; }
  /// Begins to copy rows, `row` values apart, those from `limit` on as zeros, by `threads` threads, of which this is
  /// one.
  template <int threads>
  __device__ static void copy_async(const bf16* from, int64_t row, int limit, bf16* to, int thread) {
    constexpr int pieces = columns / 8;
    static_assert(threads % pieces == 0 && rows % (threads / pieces) == 0);
    int piece = thread % pieces;
    from += thread / pieces * row + piece * 8;
#pragma unroll 4
    for (int r = thread / pieces; r < rows; r += threads / pieces, from += threads / pieces * row)
      copy_async_16(to + place(r, piece), r < limit ? from : from - r * row, r < limit);
  }
};

/// What wgmma is told of rows of SwizzledRows from `first` on: products over columns; add 2 for the next 16 of 64.
__device__ inline uint64_t rows_operand(const bf16* first) {
  return uint64_t((shared_address(first) & 0x3ffff) >> 4) | uint64_t(1) << 16 | uint64_t(64) << 32 | uint64_t(1) << 62;
}
/// The same for products over rows; `block_bytes` from one block of 64 columns to the next. Add 128 for the next 16
/// rows.
__device__ inline uint64_t columns_operand(const bf16* first, int block_bytes) {
  return uint64_t((shared_address(first) & 0x3ffff) >> 4) | uint64_t(block_bytes >> 4) << 16 | uint64_t(64) << 32 |
         uint64_t(1) << 62;
}

#ifndef LATHE_EMULATED
/// Before products whose registers were touched by other instructions.
__device__ inline void group_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void group_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Until all but the last `pending` commits are computed.
template <int pending>
__device__ void group_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}
/// Keeps the compiler from moving uses of registers that products read or write across this point.
template <int blocks>
__device__ void group_keep(float (&sums)[blocks][4]) {
#pragma unroll
  for (int i = 0; i < blocks; ++i)
    asm volatile("" : "+f"(sums[i][0]), "+f"(sums[i][1]), "+f"(sums[i][2]), "+f"(sums[i][3])::"memory");
}

/// What this thread copied or stored is seen by products.
__device__ inline void show_to_products() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

__device__ inline void barrier_start(uint64_t* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
__device__ inline void barrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
/// How many arrivals a warp's are. compute-sanitizer's racecheck takes one for that of a single thread, whatever waited
/// for each other before it, so that programs built for it (LATHE_RACECHECK) have each thread arrive.
#ifdef LATHE_RACECHECK
inline constexpr int kWarpArrivals = 32;
#else
inline constexpr int kWarpArrivals = 1;
#endif
/// By all of a warp: what its threads did so far comes before what waits for the phase.
__device__ inline void barrier_arrive_warp(uint64_t* barrier) {
  __syncwarp();
  if (kWarpArrivals > 1 || threadIdx.x % 32 == 0) barrier_arrive(barrier);
}
/// Until the phase of this parity is complete.
__device__ inline void barrier_wait(uint64_t* barrier, int parity) {
  asm volatile(
      "{\n.reg .pred p;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra done;\nbra again;\n"
      "done:\n}\n" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}
/// Whether it is.
__device__ inline bool barrier_passed(uint64_t* barrier, int parity) {
  int passed;
  asm volatile("{\n.reg .pred p;\nmbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.b32 %0, 1, 0, p;\n}\n"
               : "=r"(passed)
               : "r"(shared_address(barrier)), "r"(parity)
               : "memory");
  return passed != 0;
}

/// The reverse of load_matrices().
__device__ inline void store_matrices(const unsigned (&from)[4], bf16* row) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
               "r"(from[0]), "r"(from[1]), "r"(from[2]), "r"(from[3])
               : "memory");
}

/// Two groups of 128 threads take turns at barrier `id` (1 to 15): one waits until the other has passed.
__device__ inline void turn_wait(int id) { asm volatile("bar.sync %0, 256;" ::"r"(id) : "memory"); }
__device__ inline void turn_pass(int id) { asm volatile("bar.arrive %0, 256;" ::"r"(id) : "memory"); }

/// Registers of a thread from here on; all of a warpgroup call.
template <int registers>
__device__ void fewer_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers>
__device__ void more_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

/// sums [64, n] (+)= a b^T over 16 columns of rows_operand()s, or with `columns` a^T b over 16 rows of
/// columns_operand()s.
template <bool columns = false>
__device__ void multiply_group(float (&sums)[8][4], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, p, 1, 1, %35, %35;\n}\n"
      : "+f"(sums[0][0]), "+f"(sums[0][1]), "+f"(sums[0][2]), "+f"(sums[0][3]), "+f"(sums[1][0]), "+f"(sums[1][1]),
        "+f"(sums[1][2]), "+f"(sums[1][3]), "+f"(sums[2][0]), "+f"(sums[2][1]), "+f"(sums[2][2]), "+f"(sums[2][3]),
        "+f"(sums[3][0]), "+f"(sums[3][1]), "+f"(sums[3][2]), "+f"(sums[3][3]), "+f"(sums[4][0]), "+f"(sums[4][1]),
        "+f"(sums[4][2]), "+f"(sums[4][3]), "+f"(sums[5][0]), "+f"(sums[5][1]), "+f"(sums[5][2]), "+f"(sums[5][3]),
        "+f"(sums[6][0]), "+f"(sums[6][1]), "+f"(sums[6][2]), "+f"(sums[6][3]), "+f"(sums[7][0]), "+f"(sums[7][1]),
        "+f"(sums[7][2]), "+f"(sums[7][3])
      : "l"(a), "l"(b), "r"(int(add)), "n"(columns ? 1 : 0));
}
__device__ inline void multiply_group(float (&sums)[16][4], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, p, 1, 1, 0, 0;\n}\n"
      : "+f"(sums[0][0]), "+f"(sums[0][1]), "+f"(sums[0][2]), "+f"(sums[0][3]), "+f"(sums[1][0]), "+f"(sums[1][1]),
        "+f"(sums[1][2]), "+f"(sums[1][3]), "+f"(sums[2][0]), "+f"(sums[2][1]), "+f"(sums[2][2]), "+f"(sums[2][3]),
        "+f"(sums[3][0]), "+f"(sums[3][1]), "+f"(sums[3][2]), "+f"(sums[3][3]), "+f"(sums[4][0]), "+f"(sums[4][1]),
        "+f"(sums[4][2]), "+f"(sums[4][3]), "+f"(sums[5][0]), "+f"(sums[5][1]), "+f"(sums[5][2]), "+f"(sums[5][3]),
        "+f"(sums[6][0]), "+f"(sums[6][1]), "+f"(sums[6][2]), "+f"(sums[6][3]), "+f"(sums[7][0]), "+f"(sums[7][1]),
        "+f"(sums[7][2]), "+f"(sums[7][3]), "+f"(sums[8][0]), "+f"(sums[8][1]), "+f"(sums[8][2]), "+f"(sums[8][3]),
        "+f"(sums[9][0]), "+f"(sums[9][1]), "+f"(sums[9][2]), "+f"(sums[9][3]), "+f"(sums[10][0]), "+f"(sums[10][1]),
        "+f"(sums[10][2]), "+f"(sums[10][3]), "+f"(sums[11][0]), "+f"(sums[11][1]), "+f"(sums[11][2]),
        "+f"(sums[11][3]), "+f"(sums[12][0]), "+f"(sums[12][1]), "+f"(sums[12][2]), "+f"(sums[12][3]),
        "+f"(sums[13][0]), "+f"(sums[13][1]), "+f"(sums[13][2]), "+f"(sums[13][3]), "+f"(sums[14][0]),
        "+f"(sums[14][1]), "+f"(sums[14][2]), "+f"(sums[14][3]), "+f"(sums[15][0]), "+f"(sums[15][1]),
        "+f"(sums[15][2]), "+f"(sums[15][3])
      : "l"(a), "l"(b), "r"(int(add)));
}
/// sums [64, n] (+)= a b over 16 rows of b, a columns_operand(), or with `rows` a b^T over 16 columns of b, a
/// rows_operand(); a [64, 16] as mma has it.
template <bool rows = false>
__device__ void multiply_group(float (&sums)[8][4], const unsigned (&a)[4], uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p, 1, 1, %38;\n}\n"
      : "+f"(sums[0][0]), "+f"(sums[0][1]), "+f"(sums[0][2]), "+f"(sums[0][3]), "+f"(sums[1][0]), "+f"(sums[1][1]),
        "+f"(sums[1][2]), "+f"(sums[1][3]), "+f"(sums[2][0]), "+f"(sums[2][1]), "+f"(sums[2][2]), "+f"(sums[2][3]),
        "+f"(sums[3][0]), "+f"(sums[3][1]), "+f"(sums[3][2]), "+f"(sums[3][3]), "+f"(sums[4][0]), "+f"(sums[4][1]),
        "+f"(sums[4][2]), "+f"(sums[4][3]), "+f"(sums[5][0]), "+f"(sums[5][1]), "+f"(sums[5][2]), "+f"(sums[5][3]),
        "+f"(sums[6][0]), "+f"(sums[6][1]), "+f"(sums[6][2]), "+f"(sums[6][3]), "+f"(sums[7][0]), "+f"(sums[7][1]),
        "+f"(sums[7][2]), "+f"(sums[7][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)), "n"(rows ? 0 : 1));
}
template <bool rows = false>
__device__ void multiply_group(float (&sums)[16][4], const unsigned (&a)[4], uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "{%64, %65, %66, %67}, %68, p, 1, 1, %70;\n}\n"
      : "+f"(sums[0][0]), "+f"(sums[0][1]), "+f"(sums[0][2]), "+f"(sums[0][3]), "+f"(sums[1][0]), "+f"(sums[1][1]),
        "+f"(sums[1][2]), "+f"(sums[1][3]), "+f"(sums[2][0]), "+f"(sums[2][1]), "+f"(sums[2][2]), "+f"(sums[2][3]),
        "+f"(sums[3][0]), "+f"(sums[3][1]), "+f"(sums[3][2]), "+f"(sums[3][3]), "+f"(sums[4][0]), "+f"(sums[4][1]),
        "+f"(sums[4][2]), "+f"(sums[4][3]), "+f"(sums[5][0]), "+f"(sums[5][1]), "+f"(sums[5][2]), "+f"(sums[5][3]),
        "+f"(sums[6][0]), "+f"(sums[6][1]), "+f"(sums[6][2]), "+f"(sums[6][3]), "+f"(sums[7][0]), "+f"(sums[7][1]),
        "+f"(sums[7][2]), "+f"(sums[7][3]), "+f"(sums[8][0]), "+f"(sums[8][1]), "+f"(sums[8][2]), "+f"(sums[8][3]),
        "+f"(sums[9][0]), "+f"(sums[9][1]), "+f"(sums[9][2]), "+f"(sums[9][3]), "+f"(sums[10][0]), "+f"(sums[10][1]),
        "+f"(sums[10][2]), "+f"(sums[10][3]), "+f"(sums[11][0]), "+f"(sums[11][1]), "+f"(sums[11][2]),
        "+f"(sums[11][3]), "+f"(sums[12][0]), "+f"(sums[12][1]), "+f"(sums[12][2]), "+f"(sums[12][3]),
        "+f"(sums[13][0]), "+f"(sums[13][1]), "+f"(sums[13][2]), "+f"(sums[13][3]), "+f"(sums[14][0]),
        "+f"(sums[14][1]), "+f"(sums[14][2]), "+f"(sums[14][3]), "+f"(sums[15][0]), "+f"(sums[15][1]),
        "+f"(sums[15][2]), "+f"(sums[15][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)), "n"(rows ? 0 : 1));
}
#endif

/// sums [64, n] = a b^T, a of SwizzledRows<a_rows, dim> from row 0 of this pointer on, b [n, dim]. Not awaited.
template <int dim, int a_rows, int n>
__device__ void group_multiply_rows(const bf16* a, const bf16* b, float (&sums)[n / 8][4]) {
  uint64_t left = rows_operand(a), right = rows_operand(b);
#pragma unroll
  for (int k = 0; k < dim / 16; ++k)
    multiply_group(sums, left + k / 4 * (a_rows * 128 >> 4) + k % 4 * 2, right + k / 4 * (n * 128 >> 4) + k % 4 * 2,
                   k > 0);
  group_commit();
}

/// sums [64, 64] = a^T b, a and b [rows, 64], blocks of SwizzledRows. Not awaited.
template <int rows>
__device__ void group_multiply_columns(const bf16* a, const bf16* b, float (&sums)[8][4]) {
  uint64_t left = columns_operand(a, rows * 128), right = columns_operand(b, rows * 128);
#pragma unroll
  for (int k = 0; k < rows / 16; ++k) multiply_group<true>(sums, left + k * 128, right + k * 128, k > 0);
  group_commit();
}

/// Rows of SwizzledRows<rows, dim> as the left side of products; `row` is the first of this lane's two.
template <int rows, int dim>
__device__ void load_left(const bf16* matrix, int row, unsigned (&to)[dim / 16][4]) {
  const bf16* at = matrix + 2 * (int(threadIdx.x) % 4);
#pragma unroll
  for (int k = 0; k < dim / 16; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      to[k][i] =
          *reinterpret_cast<const unsigned*>(at + SwizzledRows<rows, dim>::place(row + i % 2 * 8, 2 * k + i / 2));
}

/// sums [64, n] = a b^T, a of load_left(), b [n, dim] of SwizzledRows. Not awaited. Shared memory is read half as much
/// as with both sides there, which for n = 64 is all that it can give.
template <int dim, int n>
__device__ void group_multiply_rows(const unsigned (&a)[dim / 16][4], const bf16* b, float (&sums)[n / 8][4]) {
  uint64_t right = rows_operand(b);
#pragma unroll
  for (int k = 0; k < dim / 16; ++k)
    multiply_group<true>(sums, a[k], right + k / 4 * (n * 128 >> 4) + k % 4 * 2, k > 0);
  group_commit();
}

/// sums [64, dim] += weights [64, n] b, b [n, dim] of SwizzledRows. Not awaited.
template <int dim, int n>
__device__ void group_multiply_weights(const unsigned (&weights)[n / 16][4], const bf16* b, float (&sums)[dim / 8][4]) {
  uint64_t right = columns_operand(b, n * 128);
#pragma unroll
  for (int k = 0; k < n / 16; ++k) multiply_group(sums, weights[k], right + k * 128, true);
  group_commit();
}

/// Stores what pack_weights() gave to rows of SwizzledRows<rows, n>, a warp's 16 from `row` on.
template <int rows, int n>
__device__ void store_weights(const unsigned (&weights)[n / 16][4], bf16* matrix, int row) {
  int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int i = 0; i < n / 16; ++i)
    store_matrices(weights[i], matrix + SwizzledRows<rows, n>::place(row + lane % 16, 2 * i + lane / 16));
}

/// Sums of [64, n] as bf16 that multiply.
template <int n>
__device__ void pack_weights(const float (&from)[n / 8][4], unsigned (&to)[n / 16][4]) {
#pragma unroll
  for (int i = 0; i < n / 16; ++i) {
    to[i][0] = packed_pair(from[2 * i][0], from[2 * i][1]);
    to[i][1] = packed_pair(from[2 * i][2], from[2 * i][3]);
    to[i][2] = packed_pair(from[2 * i + 1][0], from[2 * i + 1][1]);
    to[i][3] = packed_pair(from[2 * i + 1][2], from[2 * i + 1][3]);
  }
}

}  // namespace lathe
