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

template <bool centred, int size, bool whole, class Row, class T>
__device__ void normalize_row(const NormForward<T>& in, int64_t r) {
  const Row row(in.x + r * in.columns, in.columns);
  float mean = 0, squares = 0;
  if constexpr (centred) {
    row.each([&](int, int64_t, const float(&x)[size]) {
#pragma unroll
      for (int i = 0; i < size; ++i) mean += x[i];
    });
    mean = Team<whole>::sum(mean) / float(in.columns);
  }
  row.each([&](int, int64_t, const float(&x)[size]) {
#pragma unroll
    for (int i = 0; i < size; ++i) squares += (x[i] - mean) * (x[i] - mean);
  });
  float rstd = 1.0f / sqrtf(Team<whole>::sum(squares) / float(in.columns) + in.eps);
  if (Team<whole>::lane() == 0) {
    if (in.means) in.means[r] = mean;
    if (in.rstds) in.rstds[r] = rstd;
  }
  row.each([&](int, int64_t column, const float(&x)[size]) {
    float y[size], w[size], b[size] = {};
    load(in.weight + column, w);
    if (in.bias) load(in.bias + column, b);
#pragma unroll
    for (int i = 0; i < size; ++i) y[i] = (x[i] - mean) * rstd * (w[i] + in.offset) + b[i];
    store(y, in.y + r * in.columns + column);
  });
}

/// A block for each row, or a warp for each.
template <bool centred, int size, bool whole, class Row, class T>
__global__ void norm_kernel(NormForward<T> in) {
  int64_t row = blockIdx.x * int64_t(Team<whole>::teams()) + Team<whole>::number();
  if (row < in.rows) normalize_row<centred, size, whole, Row>(in, row);
}

template <bool centred, int size, bool whole, class Row, class T>
void launch_norm(const NormForward<T>& in, unsigned threads, cudaStream_t stream, const char* name) {
  int64_t at_once = whole ? 1 : threads / kWarp;
  norm_kernel<centred, size, whole, Row><<<unsigned((in.rows + at_once - 1) / at_once), threads, 0, stream>>>(in);
  check_launch(name);
}

template <bool centred, class T>
void norm_cuda(const NormForward<T>& in, bool fit, cudaStream_t stream, const char* name) {
  if (in.rows == 0) return;
  constexpr int size = kPackOf<T>;
  RowTeams teams = row_teams(in.columns, size, fit, 8, kThreads);
  auto run = [&]<int packs>(std::integral_constant<int, packs>) {
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
