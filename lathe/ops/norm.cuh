#pragma once
// Normalization of rows: RMS norm, and layer norm, which also centres them.

#include "lathe/ops/norm_rows.cuh"

namespace lathe {

/// Pointers of a call; see layer_norm.h and rms_norm.h. `bias`, `means` and `rstds` may be null.
template <class T>
struct NormForward {
  const T* x;
  const float *weight, *bias;
  float eps, offset = 0;  ///< offset: added to weights
  T* y;
  float *means, *rstds;
  int64_t rows, columns;
};

/// Sums go pack by pack: the bits are those of a row whose packs lie in other threads.
template <int size>
__device__ float sum_of(const float (&x)[size]) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < size; ++i) sum += x[i];
  return sum;
}

template <int size>
__device__ float squares_of(const float (&x)[size], float mean) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < size; ++i) sum = fmaf(x[i] - mean, x[i] - mean, sum);
  return sum;
}

template <int size, class T>
__device__ void normalize_pack(const NormForward<T>& in, int64_t r, int64_t column, float mean, float rstd,
                               const float (&x)[size], const float (&w)[size], const float (&b)[size]) {
  float y[size];
#pragma unroll
  for (int i = 0; i < size; ++i) y[i] = (x[i] - mean) * rstd * (w[i] + in.offset) + b[i];
  store(y, in.y + r * in.columns + column);
}

template <class T>
__device__ float rstd_of(const NormForward<T>& in, int64_t r, float mean, float squares, bool first) {
  float rstd = 1.0f / sqrtf(squares / float(in.columns) + in.eps);
  if (first && in.means) in.means[r] = mean;
  if (first && in.rstds) in.rstds[r] = rstd;
  return rstd;
}

template <bool centred, int size, bool whole, class Row, class T>
__device__ void normalize_row(const NormForward<T>& in, int64_t r) {
  const Row row(in.x + r * in.columns, in.columns);
  float mean = 0, squares = 0;
  if constexpr (centred) {
    row.each([&](int, int64_t, const float(&x)[size]) { mean += sum_of(x); });
    mean = Team<whole>::sum(mean) / float(in.columns);
  }
  row.each([&](int, int64_t, const float(&x)[size]) { squares += squares_of(x, mean); });
  float rstd = rstd_of(in, r, mean, Team<whole>::sum(squares), Team<whole>::lane() == 0);
  row.each([&](int, int64_t column, const float(&x)[size]) {
    float w[size], b[size] = {};
    load(in.weight + column, w);
    if (in.bias) load(in.bias + column, b);
    normalize_pack(in, r, column, mean, rstd, x, w, b);
  });
}

/// A block for each row, or a warp for each.
template <bool centred, int size, bool whole, class Row, class T>
__global__ void norm_kernel(NormForward<T> in) {
  int64_t row = blockIdx.x * int64_t(Team<whole>::teams()) + Team<whole>::number();
  take_turn();
  if (row < in.rows) normalize_row<centred, size, whole, Row>(in, row);
}

/// Adds up what `packs` warps left for each lane, in order, and then the lanes: the bits of a warp whose lanes have
/// those packs one after another.
template <int packs>
__device__ float sum_of_packs(const float* of_packs) {
  float sum = 0;
#pragma unroll
  for (int p = 0; p < packs; ++p) sum += of_packs[p * kWarp + int(threadIdx.x) % kWarp];
  return over_warp(sum, SumOf());
}

/// That of the warps of a block. Every thread gets the sum.
template <int packs>
__device__ float over_packs(float value) {
  __shared__ float of_packs[packs * kWarp];
  __syncthreads();  // the last call's readers are done
  of_packs[threadIdx.x] = value;
  __syncthreads();
  return sum_of_packs<packs>(of_packs);
}

/// A block of `packs` warps for each row, where rows are few and each step of reading counts: everything is read at
/// once. The same bits as by a warp.
template <bool centred, int size, int packs, class T>
__global__ void __launch_bounds__(packs* kWarp) norm_few_rows(NormForward<T> in) {
  let_later_kernels_begin();
  int64_t r = blockIdx.x, column = int64_t(threadIdx.x) * size;
  bool has_any = column < in.columns;
  if (has_any) ask_for_line(in.weight + column);
  if (has_any && in.bias) ask_for_line(in.bias + column);
  wait_for_earlier_kernels();
  float x[size] = {}, w[size] = {}, b[size] = {}, mean = 0;
  if (has_any) load(in.x + r * in.columns + column, x);
  if (has_any) load(in.weight + column, w);
  if (has_any && in.bias) load(in.bias + column, b);
  if constexpr (centred) mean = over_packs<packs>(sum_of(x)) / float(in.columns);
  float squares = over_packs<packs>(has_any ? squares_of(x, mean) : 0);
  float rstd = rstd_of(in, r, mean, squares, threadIdx.x == 0);
  if (has_any) normalize_pack(in, r, column, mean, rstd, x, w, b);
}

/// The RMS norm of a row of bf16 on its way into a product.
struct RowNorm {
  const float* weight;
  float eps, offset;
};

__host__ __device__ constexpr int normed_bytes(int columns) { return columns * int(sizeof(__nv_bfloat16)); }

/// Before earlier kernels ended, by `threads` threads.
template <int threads>
__device__ void ask_for_norm(const RowNorm& norm, int columns) {
  constexpr int size = kPackOf<__nv_bfloat16>;
  if (int column = int(threadIdx.x) * size; column < columns) ask_for_line(norm.weight + column);
}

/// to = rms_norm() of a row, in shared memory, to the bit; by the first `warps` warps of a block, which meet in
/// wait(). A pack for each thread, so there are no more columns than that. `scratch`: shared, a float for each thread.
template <int warps, class Wait>
__device__ void normalize_row(const RowNorm& norm, const __nv_bfloat16* x, int columns, __nv_bfloat16* to,
                              float* scratch, Wait wait) {
  constexpr int size = kPackOf<__nv_bfloat16>;
  NormForward<__nv_bfloat16> in{x, norm.weight, nullptr, norm.eps, norm.offset, to, nullptr, nullptr, 1, columns};
  int column = int(threadIdx.x) * size;
  bool has_any = column < columns;
  float values[size] = {}, w[size] = {}, b[size] = {};
  if (has_any) load(in.x + column, values), load(in.weight + column, w);
  scratch[threadIdx.x] = squares_of(values, 0);
  wait();
  float rstd = rstd_of(in, 0, 0, sum_of_packs<warps>(scratch), false);
  if (has_any) normalize_pack(in, 0, column, 0, rstd, values, w, b);
  wait();
}

constexpr int64_t kFewNormRows = 264;  ///< two for each of 132 multiprocessors

template <bool centred, int size, bool whole, class Row, class T>
void launch_norm(const NormForward<T>& in, unsigned threads, cudaStream_t stream, const char* name) {
  int64_t at_once = whole ? 1 : threads / kWarp;
  launch_early(norm_kernel<centred, size, whole, Row, T>,
               {unsigned((in.rows + at_once - 1) / at_once), threads, stream}, name, in);
}

template <bool centred, class T>
void norm_cuda(const NormForward<T>& in, bool fit, cudaStream_t stream, const char* name) {
  if (in.rows == 0) return;
  constexpr int size = kPackOf<T>;
  RowTeams teams = row_teams(in.columns, size, fit, 8, kThreads);
  auto run = [&]<int packs>(std::integral_constant<int, packs>) {
    if (in.rows <= kFewNormRows)
      return launch_early(norm_few_rows<centred, size, packs, T>, {unsigned(in.rows), packs * kWarp, stream}, name, in);
    launch_norm<centred, size, false, HeldRow<T, size, packs, false>>(in, teams.threads, stream, name);
  };
  if (!teams.held) return launch_norm<centred, 1, true, ReadRow<T>>(in, teams.threads, stream, name);
  if (teams.whole) return launch_norm<centred, size, true, HeldRow<T, size, 8, true>>(in, teams.threads, stream, name);
  if (teams.packs == 1) return run(std::integral_constant<int, 1>());
  if (teams.packs == 3) return run(std::integral_constant<int, 3>());
  if (teams.packs == 4) return run(std::integral_constant<int, 4>());
  run(std::integral_constant<int, 8>());
}

}  // namespace lathe
