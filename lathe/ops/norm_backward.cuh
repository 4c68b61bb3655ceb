#pragma once
// Backward of RMS norm and layer norm in one pass: dx of each row, and sums over rows for weight and bias.

#include "lathe/ops/norm_rows.cuh"

namespace lathe {

/// Three blocks share a multiprocessor, so a thread has 168 registers, most of them sums, and a block 75 KiB of shared
/// memory. row_chunks() makes as many blocks as there are places.
constexpr int kBackwardThreads = 128, kBackwardBlocks = 3;

/// Pointers of a call; see layer_norm.h and rms_norm.h. `means` is null for RMS norm; dx, or both sums, may be null.
/// A block adds up its rows into row blockIdx.x of the sums, `stride` apart.
template <class T>
struct NormBackward {
  const T* x;
  const float *weight, *means, *rstds;
  const T* dy;
  T* dx;
  float *dweight, *dbias;
  int64_t rows, columns, stride;
  float offset = 0;  ///< added to weights
};

/// What makes a row's dx of w * dy: dx = rstd * (w * dy - mean of it - n * mean of it times n), n = (x - mean) * rstd.
struct RowGradient {
  float mean, rstd, plain, dot;
  __device__ float normal(float x) const { return (x - mean) * rstd; }
  __device__ float operator()(float x, float weighted) const { return rstd * (weighted - plain - normal(x) * dot); }
};

template <bool centred, int size, bool whole, class Row, class T>
__device__ RowGradient row_gradient(const NormBackward<T>& in, int64_t r, const Row& x, const Row& dy) {
  RowGradient row{centred ? in.means[r] : 0.0f, in.rstds[r], 0, 0};
  if (!in.dx) return row;
  x.each([&](int p, int64_t column, const float(&values)[size]) {
    float w[size], d[size];
    load(in.weight + column, w);
    dy.at(p, column, d);
#pragma unroll
    for (int i = 0; i < size; ++i) {
      float weighted = (w[i] + in.offset) * d[i];
      if constexpr (centred) row.plain += weighted;
      row.dot += weighted * row.normal(values[i]);
    }
  });
  if constexpr (centred) row.plain = Team<whole>::sum(row.plain) / float(in.columns);
  row.dot = Team<whole>::sum(row.dot) / float(in.columns);
  return row;
}

/// Writes dx and hands each pack's dy * n and dy to add(pack, column, dweight, dbias).
template <bool centred, int size, bool whole, class Row, class T, class Add>
__device__ void row_backward(const NormBackward<T>& in, int64_t r, const Row& x, const Row& dy, Add add) {
  const RowGradient row = row_gradient<centred, size, whole>(in, r, x, dy);
  x.each([&](int p, int64_t column, const float(&values)[size]) {
    float w[size], d[size], dx[size], dweight[size];
    dy.at(p, column, d);
    load(in.weight + column, w);
#pragma unroll
    for (int i = 0; i < size; ++i) {
      dweight[i] = d[i] * row.normal(values[i]);
      dx[i] = row(values[i], (w[i] + in.offset) * d[i]);
    }
    if (in.dx) store(dx, in.dx + r * in.columns + column);
    add(p, column, dweight, d);
  });
}

/// Sums of `packs` packs of columns a thread; teams are added in order, through `shared`, one row of floats.
template <int size, int packs, bool whole>
struct ColumnSums {
  float of_packs[packs][size] = {};

  __device__ void add(int pack, const float (&values)[size]) {
#pragma unroll
    for (int p = 0; p < packs; ++p)  // so that `pack` is a constant and the sums stay in registers
      if (p == pack) {
#pragma unroll
        for (int i = 0; i < size; ++i) of_packs[p][i] += values[i];
      }
  }

  __device__ void write(float* shared, float* to, int64_t columns) const {
    int last = Team<whole>::teams() - 1;
    for (int team = 0; team <= last; ++team) {
      if (team == Team<whole>::number()) pass_on(team > 0 ? shared : nullptr, team == last ? to : shared, columns);
      __syncthreads();
    }
  }

 private:
  __device__ void pass_on(const float* from, float* to, int64_t columns) const {
#pragma unroll
    for (int p = 0; p < packs; ++p) {
      int64_t column = (p * Team<whole>::lanes() + Team<whole>::lane()) * size;
      if (column >= columns) continue;
      float sums[size] = {};
      if (from) load(from + column, sums);
#pragma unroll
      for (int i = 0; i < size; ++i) sums[i] += of_packs[p][i];
      store(sums, to + column);
    }
  }
};

/// x and dy of the rows that a team comes to: each thread copies its own packs into shared memory, one row ahead of
/// what it works on, so that no barrier is needed.
template <class T, int size, int packs, bool whole>
class RowStages {
 public:
  using Row = StagedRow<T, size, packs, whole>;

  __device__ RowStages(const NormBackward<T>& in, Pack<T, size>* shared) : in_(in), shared_(shared + threadIdx.x) {}
  __device__ void fetch(int64_t r, int stage) {
    if (r < in_.rows) {
      at(stage, 0).fetch(in_.x + r * in_.columns);
      at(stage, 1).fetch(in_.dy + r * in_.columns);
    }
    __pipeline_commit();
  }
  __device__ Row at(int stage, int which) {
    return Row(shared_ + (2 * stage + which) * packs * int(blockDim.x), in_.columns);
  }

 private:
  const NormBackward<T>& in_;
  Pack<T, size>* shared_;
};

constexpr int kStages = 2;

/// A row a team at a time.
template <bool centred, bool bias, int size, int packs, bool whole, class T>
__global__ void __launch_bounds__(kBackwardThreads, kBackwardBlocks)
    norm_backward_kernel(const __grid_constant__ NormBackward<T> in) {
  extern __shared__ uint4 shared[];
  RowStages<T, size, packs, whole> staged(in, reinterpret_cast<Pack<T, size>*>(shared));
  ColumnSums<size, packs, whole> dweight, dbias;
  int64_t teams = Team<whole>::teams(), step = gridDim.x * teams;
  int64_t first = blockIdx.x * teams + Team<whole>::number();
  int stage = 0;
  staged.fetch(first, stage);
  for (int64_t r = first; r < in.rows; r += step, stage = 1 - stage) {
    staged.fetch(r + step, 1 - stage);
    __pipeline_wait_prior(1);
    row_backward<centred, size, whole>(in, r, staged.at(stage, 0), staged.at(stage, 1),
                                       [&](int p, int64_t, const float(&w)[size], const float(&b)[size]) {
                                         dweight.add(p, w);
                                         if constexpr (bias) dbias.add(p, b);
                                       });
  }
  __pipeline_wait_prior(0);
  __syncthreads();  // the staged rows make room for the sums
  float* sums = reinterpret_cast<float*>(shared);
  if (in.dweight) dweight.write(sums, in.dweight + blockIdx.x * in.stride, in.columns);
  if constexpr (bias) dbias.write(sums, in.dbias + blockIdx.x * in.stride, in.columns);
}

/// Rows of any length, a block for each at a time; a thread keeps the sums of its own columns in memory.
template <bool centred, class T>
__global__ void __launch_bounds__(kBackwardThreads) norm_backward_read_kernel(NormBackward<T> in) {
  float *dweight = in.dweight ? in.dweight + blockIdx.x * in.stride : nullptr,
        *dbias = in.dbias ? in.dbias + blockIdx.x * in.stride : nullptr;
  for (int64_t c = threadIdx.x; c < in.columns; c += blockDim.x) {
    if (dweight) dweight[c] = 0;
    if (dbias) dbias[c] = 0;
  }
  for (int64_t r = blockIdx.x; r < in.rows; r += gridDim.x) {
    ReadRow<T> x(in.x + r * in.columns, in.columns), dy(in.dy + r * in.columns, in.columns);
    row_backward<centred, 1, true>(in, r, x, dy, [&](int, int64_t c, const float(&w)[1], const float(&b)[1]) {
      if (dweight) dweight[c] += w[0];
      if (dbias) dbias[c] += b[0];
    });
  }
}

template <bool centred, bool bias, int packs, bool whole, class T>
void launch_norm_backward(const NormBackward<T>& in, unsigned blocks, unsigned threads, cudaStream_t stream) {
  auto kernel = norm_backward_kernel<centred, bias, kPackOf<T>, packs, whole, T>;
  int shared = kStages * 2 * packs * int(threads) * int(sizeof(uint4));
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared), "norm_backward");
  kernel<<<blocks, threads, size_t(shared), stream>>>(in);
}

/// `blocks` is the number of rows of the sums.
template <bool centred, bool bias, class T>
void norm_backward_cuda(const NormBackward<T>& in, bool fit, unsigned blocks, cudaStream_t stream, const char* name) {
  constexpr int most = kPacksOfThread[3];
  RowTeams teams = row_teams(in.columns, kPackOf<T>, fit, most, kBackwardThreads);
  auto run = [&]<int packs>(std::integral_constant<int, packs>) {
    if (teams.whole)
      launch_norm_backward<centred, bias, most, true>(in, blocks, teams.threads, stream);
    else
      launch_norm_backward<centred, bias, packs, false>(in, blocks, teams.threads, stream);
  };
  if (!teams.held)
    norm_backward_read_kernel<centred><<<blocks, kBackwardThreads, 0, stream>>>(in);
  else if (teams.packs == 1)
    run(std::integral_constant<int, 1>());
  else if (teams.packs == 3)
    run(std::integral_constant<int, 3>());
  else if (teams.packs == 4)
    run(std::integral_constant<int, 4>());
  else
    run(std::integral_constant<int, most>());
  check_launch(name);
}

}  // namespace lathe
