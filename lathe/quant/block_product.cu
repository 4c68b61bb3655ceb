#include "lathe/quant/block_product.h"

#include <cstring>

#include "lathe/ops/matmul_cuda.cuh"
#include "lathe/ops/normed_product.cuh"

#include "lathe/quant/record_source.cuh"  // behind headers with DType::bf16, which its bf16 would be shadowed by

namespace lathe {
namespace {

/// Calls visitor with the part's RecordSource.
template <class Visitor>
void visit_source(const BlockMatrix& part, Visitor&& visitor) {
  using enum CodeKind;
  if (!part.packed) throw InternalError("a GPU reads blocks in records");
  BlockRecords records(*part.format);
  auto with = [&]<CodeKind kind, int groups, bool lows>() {
    RecordSource<RecordLayout<kind, groups, lows>> source{part.blocks.data<std::byte>(), {}, true};
    if (kind == table) std::memcpy(&source.table, part.format->table.data(), sizeof source.table);
    visitor(source);
  };
  bool halves = records.groups == 2;
  if (records.code_bits == 8 && halves) return with.template operator()<bytes, 2, false>();  // Q6_K
  if (records.code_bits == 8)
    return records.lows ? with.template operator()<bytes, 1, true>() : with.template operator()<bytes, 1, false>();
  if (!part.format->table.empty()) return with.template operator()<table, 1, false>();
  if (records.lows)
    return halves ? with.template operator()<plain_nibbles, 2, true>()
                  : with.template operator()<plain_nibbles, 1, true>();
  halves ? with.template operator()<shifted_nibbles, 2, false>()
         : with.template operator()<shifted_nibbles, 1, false>();
}

/// Which rows of a part, which begins at row `first` of all, go where: those of `count` ids that it has; or without ids
/// `count` rows from `begin` on, to row `to` of out.
template <class T>
struct RowsRead {
  const int* ids;
  int64_t first, rows, count, steps;
  T* out;
  int64_t begin = 0, to = 0;
};

/// A thread for each row, step and lane of four.
template <class Source, class T>
__global__ void __launch_bounds__(kThreads) read_rows(Source source, RowsRead<T> p) {
  using Layout = typename Source::Layout;
  take_turn();
  int64_t quads = p.count * p.steps * 4;
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < quads; i += int64_t(gridDim.x) * blockDim.x) {
    int quad = int(i % 4);
    int64_t step = i / 4 % p.steps, to = i / 4 / p.steps, from = p.ids ? p.ids[to] - p.first : p.begin + to;
    if (from < 0 || from >= p.rows) continue;
    int row = int(from % kWeightRows);
    const std::byte* record = source.records + (from / kWeightRows * p.steps + step) * Source::kRecordBytes;
    RecordPart<Layout> part(record, row % 8 * 4 + quad, source.table);
    T* out = p.out + ((p.to + to) * p.steps + step) * kDepthStep + quad * 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float values[4];
      part.read(half, row / 8, values);
      store(values, out + half * 16);
    }
  }
}

template <class T>
void read_part(const BlockMatrix& part, const RowsRead<T>& p, cudaStream_t stream) {
  visit_source(part, [&]<class Source>(const Source& source) {
    launch_early(read_rows<Source, T>, {blocks_for(p.count * p.steps * 4), kThreads, stream}, "block_rows", source, p);
  });
}

/// Rows `ids` of [rows, depth] that the parts are.
template <class T>
void read_ids(std::span<const BlockMatrix> parts, const int* ids, int64_t count, int64_t depth, T* out,
              cudaStream_t stream) {
  int64_t first = 0;
  for (const BlockMatrix& part : parts) {
    read_part(part, RowsRead<T>{ids, first, part.shape[0], count, depth / kDepthStep, out}, stream);
    first += part.shape[0];
  }
}

/// Rows [begin, end) of them.
template <class T>
void read_range(std::span<const BlockMatrix> parts, int64_t begin, int64_t end, int64_t depth, T* out,
                cudaStream_t stream) {
  int64_t first = 0;
  for (const BlockMatrix& part : parts) {
    int64_t from = std::max(begin, first), to = std::min(end, first + part.shape[0]);
    RowsRead<T> p{nullptr, first, part.shape[0], to - from, depth / kDepthStep, out, from - first, from - begin};
    if (from < to) read_part(part, p, stream);
    first += part.shape[0];
  }
}

void block_rows_cuda(std::span<const BlockMatrix> parts, const Tensor& ids, Tensor& rows) {
  if (rows.elements() == 0) return;
  int64_t count = rows.shape()[0], depth = rows.shape()[1];
  visit_device(rows.dtype(), [&]<class T>(Element<T>) {
    if (ids)
      read_ids(parts, on_device<const int>(ids), count, depth, on_device<T>(rows), stream_of(rows));
    else
      read_range(parts, 0, count, depth, on_device<T>(rows), stream_of(rows));
  });
}

/// split = SplitRows<slots, sums> of x. Four threads for each group of a row.
template <int slots, bool sums>
__global__ void __launch_bounds__(kThreads) split_rows(NarrowProduct p, std::byte* split) {
  take_turn();
  int groups = p.depth / kDepthStep, i = int(blockIdx.x * blockDim.x + threadIdx.x);
  int group = i / 4 % groups, row = i / 4 / groups;
  bool any = row < p.rows;
  const __nv_bfloat16* from = p.x + int64_t(any ? row : 0) * p.depth + group * kDepthStep + i % 4 * 4;
  uint2 x[2] = {*reinterpret_cast<const uint2*>(from), *reinterpret_cast<const uint2*>(from + 16)};
  split_group<slots, sums>(x, split + int64_t(group) * SplitRows<slots, sums>::kBytes, row, int(threadIdx.x) % 32, any);
}

constexpr const char* kName = "block_product";

/// Launches products of x with one part of the weight after the other.
class FewRows {
 public:
  FewRows(const NarrowProduct& p, std::byte* workspace, cudaStream_t stream)
      : p_(p), workspace_(workspace), stream_(stream) {}

  /// The next columns. Blocks split up to 8 rows themselves: a kernel of its own would take longer.
  template <class Layout>
  void multiply(const RecordSource<Layout>& source, int columns) {
    p_.columns = columns;
    bool done = p_.rows == 1   ? multiply_row(source)
                : p_.rows <= 8 ? launch<OneTile<Layout>>(SplittingSource<Layout, 8>{source})
                               : false;
    if (!done) stream_x(source);
    p_.first_column += columns;
  }

  /// The next columns of a row that is normalized by each block.
  template <class Layout>
  void multiply_normed(const RecordSource<Layout>& source, int columns) {
    p_.columns = columns;
    if (!launch<OneTile<Layout>, true>(SplittingSource<Layout, 1>{source}))
      throw InternalError(text("a normalized row of ", p_.depth, " columns takes too much shared memory"));
    p_.first_column += columns;
  }

 private:
  static constexpr int kStaged = 80 * 1024;  ///< bytes of the weight in a block, of which a multiprocessor has two
  /// Where a multiprocessor has one block of the product, so that more is on its way while the kernel before runs.
  static constexpr int kStagedAlone = 104 * 1024;
  template <class Layout, int staged = kStaged>
  using OneTile = Sharing<1, 1, RecordSource<Layout>::kTileBytes, staged / RecordSource<Layout>::kTileBytes>;
  NarrowProduct p_;
  std::byte* workspace_;
  cudaStream_t stream_;
  int split_ = 0;  ///< bytes of a group of x in the workspace

  template <class Layout>
  bool multiply_row(const RecordSource<Layout>& source) {
    SplittingSource<Layout, 1> splitting{source};
    bool alone = p_.columns <= kMultiprocessors * kWeightRows;
    return (alone && launch<OneTile<Layout, kStagedAlone>>(splitting)) || launch<OneTile<Layout>>(splitting);
  }

  /// False, and nothing done, where x takes more shared memory than there is.
  template <class S, bool normed = false, class Source>
  bool launch(const Source& source) {
    int bytes = S::shared_bytes + (normed ? normed_bytes(p_.depth) : 0);
    if constexpr (requires { source.own_bytes(p_); }) bytes += source.own_bytes(p_);
    if (bytes > kMostShared) return false;
    auto kernel = multiply_by_ring<S, __nv_bfloat16, Source, normed>;
    allow_shared(reinterpret_cast<const void*>(kernel), bytes);
    int room = std::min((kMostShared + 1024) / (bytes + 1024), S::blocks);
    int blocks = std::min((p_.width() + S::columns - 1) / S::columns, room * kMultiprocessors);
    launch_early(kernel, {unsigned(blocks), S::threads, stream_, bytes}, kName, p_, source);
    return true;
  }

  /// Two tiles at a time read x half as often, if each multiprocessor has that many.
  template <class Layout>
  void stream_x(const RecordSource<Layout>& source) {
    constexpr int bytes = RecordSource<Layout>::kTileBytes;
    SplitSource<Layout> streaming{source, workspace_};
    bool one_tile = p_.columns <= kMultiprocessors * kWeightRows;
    if (p_.rows <= 16) {
      split<16, Layout::lows>();
      one_tile ? launch<Sharing<1, 1, bytes, 3, 2>>(streaming) : launch<Sharing<1, 2, bytes, 2, 2>>(streaming);
    } else {
      split<32, Layout::lows>();
      one_tile ? launch<Sharing<2, 1, bytes, 3, 2>>(streaming) : launch<Sharing<2, 2, bytes, 2, 2>>(streaming);
    }
  }

  /// x into the workspace, if it is not there as this part needs it.
  template <int slots, bool sums>
  void split() {
    if (split_ == SplitRows<slots, sums>::kBytes) return;
    split_ = SplitRows<slots, sums>::kBytes;
    int64_t threads = p_.rows * int64_t(p_.depth / kDepthStep) * 4;
    launch_early(split_rows<slots, sums>, {unsigned((threads + kThreads - 1) / kThreads), kThreads, stream_}, kName, p_,
                 workspace_);
  }
};

void multiply_few(const BlockProduct& product, Tensor& workspace, Tensor& out) {
  const Tensor& x = product.x;
  NarrowProduct p{.x = on_device<const __nv_bfloat16>(x),
                  .out = out.data<std::byte>(),
                  .bias = on_device<const float>(product.bias),
                  .residual = on_device<const std::byte>(product.residual),
                  .rows = int(x.shape().rows()),
                  .columns = 0,
                  .depth = int(x.shape().columns()),
                  .out_columns = int(out.shape().columns()),
                  .add = false};
  FewRows few(p, workspace.data<std::byte>(), stream_of(out));
  for (const BlockMatrix& part : product.parts)
    visit_source(part, [&](const auto& source) { few.multiply(source, int(part.shape[0])); });
}

/// Slab by slab of the weight.
void multiply_dequantized(const BlockProduct& product, Tensor& workspace, Tensor& out) {
  const Tensor& x = product.x;
  int64_t rows = x.shape().rows(), depth = x.shape().columns(), columns = out.shape().columns();
  int64_t slab = gpu_slab_rows(product), size = size_of(out.dtype());
  std::byte* weight = workspace.data<std::byte>();
  Matrix narrow{.data = x.data<std::byte>(), .outer = rows, .depth = depth, .stride = depth, .dtype = x.dtype()};
  for (int64_t first = 0; first < columns; first += slab) {
    int64_t count = std::min(slab, columns - first);
    visit_device(x.dtype(), [&]<class T>(Element<T>) {
      read_range(product.parts, first, first + count, depth, reinterpret_cast<T*>(weight), stream_of(out));
    });
    multiply_many_rows({.a = narrow,
                        .b = {.data = weight, .outer = count, .depth = depth, .stride = depth, .dtype = x.dtype()},
                        .out = out.data<std::byte>() + first * size,
                        .out_dtype = out.dtype(),
                        .bias = product.bias ? on_device<const float>(product.bias) + first : nullptr,
                        .residual = product.residual ? product.residual.data<std::byte>() + first * size : nullptr,
                        .workspace = weight + gpu_weight_bytes(product)},
                       stream_of(out), columns);
  }
}

void block_product_cuda(const BlockProduct& product, Tensor& workspace, Tensor& out) {
  if (out.elements() == 0) return;
  bool few = product.x.shape().rows() <= kFewRows && product.x.dtype() == DType::bf16 && packs_fit(8, 8, {&product.x});
#ifndef LATHE_SM_90A
  few = false;
#endif
  few ? multiply_few(product, workspace, out) : multiply_dequantized(product, workspace, out);
}

#ifdef LATHE_SM_90A
void normed_block_product_cuda(const NormedProduct& product, std::span<const BlockMatrix> parts, Tensor& out) {
  int64_t columns = 0;
  for (const BlockMatrix& part : parts) columns += part.shape[0];
  FewRows few(narrow_product(product, columns, out), nullptr, stream_of(out));
  for (const BlockMatrix& part : parts)
    visit_source(part, [&](const auto& source) { few.multiply_normed(source, int(part.shape[0])); });
}

const bool provided_normed = normed_block_product_kernel.provide(Backend::cuda, normed_block_product_cuda);
#endif

const bool provided = block_product_kernel.provide(Backend::cuda, block_product_cuda) &&
                      block_rows_kernel.provide(Backend::cuda, block_rows_cuda);

}  // namespace
}  // namespace lathe
