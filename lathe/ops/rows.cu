#include "lathe/ops/rows.h"

#include <bit>
#include <cub/device/device_radix_sort.cuh>

#include "lathe/base/error.h"
#include "lathe/ops/copy_rows.cuh"

namespace lathe {
namespace {

void gather_rows_cuda(const Tensor& x, const Tensor& ids, Tensor& out) {
  int64_t row_bytes = x.shape().columns() * size_of(x.dtype());
  copy_rows({.from = x.data<std::byte>(),
             .to = out.data<std::byte>(),
             .from_stride = row_bytes,
             .to_stride = row_bytes,
             .ids = on_device<const int32_t>(ids)},
            ids.elements(), row_bytes, stream_of(out), "gather_rows");
}

// Scattering: rows are sorted by id, stably, and a block adds up each piece of kScatterPiece rows of that order. An id
// whose rows all lie in one piece is finished there; what continues from the piece before, or into the next, is left as
// a partial sum, and a second kernel adds those up in order.

/// A row and its id, which sort by id.
struct Place {
  uint64_t key;
  __host__ __device__ int32_t id() const { return int32_t(key >> 32); }
  __host__ __device__ int32_t row() const { return int32_t(key); }
};

__global__ void number_ids(const int32_t* ids, uint64_t* keys, int64_t count) {
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i < count) keys[i] = uint64_t(uint32_t(ids[i])) << 32 | uint64_t(i);
}

template <class X, class O>
struct Scatter {
  const X* x;
  const Place* sorted;
  O* out;
  float* partials;  ///< [pieces, 2, columns]: what continues from the piece before, what continues into the next
  int64_t rows, columns;

  __device__ int64_t pieces() const { return (rows + kScatterPiece - 1) / kScatterPiece; }
  __device__ int32_t id_at(int64_t i) const { return i >= 0 && i < rows ? sorted[i].id() : -1; }
};

template <int size, class O>
__device__ void add_to(const float (&sum)[size], O* out) {
  float before[size];
  load(out, before);
#pragma unroll
  for (int i = 0; i < size; ++i) before[i] += sum[i];
  store(before, out);
}

/// Block (piece, tile of columns); each thread `size` columns.
template <int size, class X, class O>
__global__ void __launch_bounds__(kThreads) scatter_pieces(Scatter<X, O> in) {
  constexpr int kAhead = 8;                                        // rows loaded before they are added
  __shared__ int32_t ids[kScatterPiece + 2], rows[kScatterPiece];  // ids from one before the piece to one after
  int64_t first = blockIdx.x * kScatterPiece;
  int count = int(min(kScatterPiece, in.rows - first));
  for (int i = int(threadIdx.x); i < count + 2; i += int(blockDim.x)) ids[i] = in.id_at(first + i - 1);
  for (int i = int(threadIdx.x); i < count; i += int(blockDim.x)) rows[i] = in.sorted[first + i].row();
  __syncthreads();
  int64_t column = (blockIdx.y * int64_t(blockDim.x) + threadIdx.x) * size;
  if (column >= in.columns) return;
  float sum[size] = {};
  bool continued = ids[0] == ids[1];
  for (int i = 0; i < count; i += kAhead) {
    float ahead[kAhead][size];
#pragma unroll
    for (int j = 0; j < kAhead; ++j)
      if (i + j < count) load(in.x + rows[i + j] * in.columns + column, ahead[j]);
#pragma unroll
    for (int j = 0; j < kAhead; ++j) {
      if (i + j >= count) break;
#pragma unroll
      for (int k = 0; k < size; ++k) sum[k] += ahead[j][k];
      int32_t id = ids[i + j + 1];
      bool last = i + j + 1 == count, continues = id == ids[i + j + 2];
      if (continues && !last) continue;
      if (continued || continues)
        store(sum, in.partials + (2 * int64_t(blockIdx.x) + (continued ? 0 : 1)) * in.columns + column);
      else
        add_to(sum, in.out + id * in.columns + column);
#pragma unroll
      for (int k = 0; k < size; ++k) sum[k] = 0;
      continued = false;
    }
  }
}

/// The first piece after `piece` that does not begin with `id`.
template <class X, class O>
__device__ int64_t end_of_run(const Scatter<X, O>& in, int64_t piece, int32_t id) {
  int64_t low = piece + 1, high = in.pieces();
  while (low < high) {
    int64_t middle = (low + high) / 2;
    if (in.sorted[middle * kScatterPiece].id() == id)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/// Block (piece, tile of columns): finishes the id that begins in this piece and continues into the next ones.
template <int size, class X, class O>
__global__ void __launch_bounds__(kThreads) scatter_runs(Scatter<X, O> in) {
  int64_t piece = blockIdx.x, next = (piece + 1) * kScatterPiece;
  int64_t column = (blockIdx.y * int64_t(blockDim.x) + threadIdx.x) * size;
  if (next >= in.rows || column >= in.columns) return;
  int32_t id = in.id_at(next - 1);
  bool began_before = in.id_at(next - kScatterPiece) == id && in.id_at(next - kScatterPiece - 1) == id;
  if (in.id_at(next) != id || began_before) return;
  float sum[size];
  load(in.partials + (2 * piece + 1) * in.columns + column, sum);
  int64_t end = end_of_run(in, piece, id);
#pragma unroll 8
  for (int64_t p = piece + 1; p < end; ++p) {
    float more[size];
    load(in.partials + 2 * p * in.columns + column, more);
#pragma unroll
    for (int k = 0; k < size; ++k) sum[k] += more[k];
  }
  add_to(sum, in.out + id * in.columns + column);
}

/// Sorts `ids` into the workspace, whose rest is returned through `free`.
const Place* sort_ids(const Tensor& ids, int64_t vocabulary, std::byte*& free, std::byte* end, cudaStream_t stream) {
  int64_t count = ids.elements();
  auto* keys = reinterpret_cast<uint64_t*>(free);
  cub::DoubleBuffer<uint64_t> buffer(keys, keys + count);
  free += 2 * count * int64_t(sizeof(uint64_t));
  number_ids<<<unsigned((count + kThreads - 1) / kThreads), kThreads, 0, stream>>>(on_device<const int32_t>(ids), keys,
                                                                                   count);
  check_launch("scatter_rows");
  int bits = std::bit_width(uint64_t(vocabulary));
  size_t needed = 0, room = size_t(end - free);
  check_cuda(cub::DeviceRadixSort::SortKeys(nullptr, needed, buffer, count, 32, 32 + bits, stream), "scatter_rows");
  if (needed > room) throw InternalError(text("scatter_rows: sorting needs ", needed, " bytes, not ", room));
  check_cuda(cub::DeviceRadixSort::SortKeys(free, room, buffer, count, 32, 32 + bits, stream), "scatter_rows");
  return reinterpret_cast<const Place*>(buffer.Current());
}

template <int size, class X, class O>
void launch_scatter(const Scatter<X, O>& in, cudaStream_t stream) {
  int64_t packs = in.columns / size, pieces = (in.rows + kScatterPiece - 1) / kScatterPiece;
  unsigned threads = unsigned(std::min<int64_t>((packs + 31) / 32 * 32, kThreads));
  dim3 grid(unsigned(pieces), unsigned((packs + threads - 1) / threads));
  scatter_pieces<size><<<grid, threads, 0, stream>>>(in);
  scatter_runs<size><<<grid, threads, 0, stream>>>(in);
  check_launch("scatter_rows");
}

void scatter_rows_cuda(const Tensor& x, const Tensor& ids, Tensor& out, Tensor& workspace) {
  int64_t rows = ids.elements(), columns = x.shape().columns();
  if (rows == 0 || columns == 0) return;
  int64_t partial_bytes = (rows + kScatterPiece - 1) / kScatterPiece * 2 * columns * int64_t(sizeof(float));
  // The partial sums come first: they are what is aligned to packs.
  std::byte *begin = workspace.data<std::byte>(), *free = begin + partial_bytes, *end = begin + workspace.bytes();
  const Place* sorted = sort_ids(ids, out.shape().rows(), free, end, stream_of(out));
  visit_device(x.dtype(), [&]<class X>(Element<X>) {
    visit_device(out.dtype(), [&]<class O>(Element<O>) {
      Scatter<X, O> in{on_device<const X>(x),           sorted, on_device<O>(out),
                       reinterpret_cast<float*>(begin), rows,   columns};
      if (packs_fit(4, columns, {&x, &out})) return launch_scatter<4>(in, stream_of(out));
      launch_scatter<1>(in, stream_of(out));
    });
  });
}

const bool provided = gather_rows_kernel.provide(Backend::cuda, gather_rows_cuda) &&
                      scatter_rows_kernel.provide(Backend::cuda, scatter_rows_cuda);

}  // namespace
}  // namespace lathe
