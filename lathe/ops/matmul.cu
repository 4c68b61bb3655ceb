#include "lathe/ops/matmul_cuda.cuh"
#include "lathe/ops/matmul_library.cuh"
#include "lathe/ops/matmul_packed.h"
#include "lathe/tensor/map.cuh"

namespace lathe {
namespace {

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};

LibraryMatrix library_matrix(const Matrix& matrix) {
  return {matrix.data, library_type(matrix.dtype), matrix.outer, matrix.across};
}

/// By whichever is fastest of those that can. The library adds one tensor, so a second one is added before.
void multiply_cuda(const Product& product, Tensor& workspace, Tensor& out) {
  MatrixProduct matrices = matrices_of(product, workspace, out);
  if (out.elements() == 0) return;
  if (few_rows_fit(matrices)) return multiply_few_rows(matrices, matrices.b.packed, stream_of(out));
  if (matrices.add && matrices.residual) {
    map_alike(product.residual, out, out, Add(), "matmul");
    matrices.residual = nullptr;
  }
  multiply_many_rows(matrices, stream_of(out));
}

void multiply_groups_cuda(const Product& product, const Tensor& offsets, Tensor&, Tensor& out) {
  if (out.elements() == 0) return;
  multiply_groups_by_tiles(matrices_of(product, Tensor(), out), offsets.data<int32_t>(), offsets.elements() - 1,
                           stream_of(out));
}

void pack_cuda(const Tensor& weight, Tensor& packed) {
  check_cuda(cudaMemcpyAsync(packed.data<std::byte>(), weight.data<std::byte>(), size_t(weight.bytes()),
                             cudaMemcpyDeviceToDevice, stream_of(packed)),
             "matmul_pack");
}

/// A block a row; 16 bytes a thread at a time where rows are aligned.
template <class Word>
__global__ void gather_rows(const Word* table, const int32_t* ids, Word* rows, int64_t words) {
  const Word* from = table + ids[blockIdx.x] * words;
  Word* to = rows + blockIdx.x * words;
  for (int64_t i = threadIdx.x; i < words; i += blockDim.x) to[i] = from[i];
}

void packed_rows_cuda(const Tensor& panels, const Shape& shape, const Tensor& ids, Tensor& rows) {
  if (rows.elements() == 0) return;
  int64_t row_bytes = shape[1] * size_of(panels.dtype());
  auto gather = [&]<class Word>(Element<Word>) {
    gather_rows<<<unsigned(ids.elements()), kThreads, 0, stream_of(rows)>>>(
        on_device<const Word>(panels), ids.data<int32_t>(), on_device<Word>(rows), row_bytes / int64_t(sizeof(Word)));
    check_launch("packed_rows");
  };
  if (packs_fit(int(16 / size_of(panels.dtype())), shape[1], {&panels, &rows}))
    gather(Element<uint4>());
  else
    gather(Element<uint16_t>());
}

}  // namespace

void multiply_many_rows(const MatrixProduct& m, cudaStream_t stream, int64_t out_stride) {
  bool done = multiply_by_library({.a = library_matrix(m.a),
                                   .b = library_matrix(m.b),
                                   .depth = m.a.depth,
                                   .out = m.out,
                                   .out_stride = out_stride,
                                   .out_dtype = m.out_dtype,
                                   .add = m.add,
                                   .bias = m.bias,
                                   .residual = m.residual,
                                   .workspace = m.workspace},
                                  stream);
  if (!done) multiply_by_tiles(m, stream, out_stride);
}

namespace {

const bool provided = product_kernel.provide(Backend::cuda, multiply_cuda) &&
                      group_product_kernel.provide(Backend::cuda, multiply_groups_cuda) &&
                      pack_kernel.provide(Backend::cuda, pack_cuda) &&
                      packed_rows_kernel.provide(Backend::cuda, packed_rows_cuda);

}  // namespace
}  // namespace lathe
