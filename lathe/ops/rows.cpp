#include "lathe/ops/rows.h"

#include <omp.h>

#include <cstring>

#include "lathe/ops/parallel.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {

Tensor rows(const Tensor& x, int64_t first, int64_t count) {
  require(first >= 0 && count > 0 && first + count <= x.shape()[0], "rows: [", first, ", ", first + count, ") of x ",
          x.shape());
  Tensor out = x.rows(first, count);
  record({&out}, {&x}, {[shape = x.shape(), first](std::span<const Tensor> dy) -> Gradients {
           Tensor dx = zeros(shape, dy[0].dtype());
           Tensor part = dx.rows(first, dy[0].shape()[0]);
           copy(dy[0], part);
           return {dx};
         }});
  return out;
}

int64_t scatter_workspace_bytes(Device device, int64_t rows, int64_t columns) {
  if (device.backend == Backend::cpu || rows == 0) return 0;
  // Two arrays of ids with their places, what sorting them takes, and two partial sums a piece.
  constexpr int64_t kSorting = 1 << 18;
  int64_t pieces = (rows + kScatterPiece - 1) / kScatterPiece;
  return 17 * rows + kSorting + pieces * 2 * columns * size_of(DType::f32);
}

void scatter_rows(const Tensor& x, const Tensor& ids, Tensor& out) {
  int64_t bytes = scatter_workspace_bytes(x.device(), ids.elements(), x.shape().columns());
  PurposeScope scope(Purpose::workspace);
  Tensor workspace = bytes ? Tensor::empty({bytes}, DType::u8) : Tensor();
  int64_t moved = x.bytes() + ids.bytes() + 2 * x.elements() * size_of(out.dtype());
  scatter_rows_kernel({x.elements(), moved}, x, ids, out, workspace);
}

Tensor gather_rows(const Tensor& x, const Tensor& ids) {
  require(ids.dtype() == DType::i32 && x.shape().rank() == 2, "gather_rows: x ", x.shape(),
          " must be [n, columns] and ids i32, not ", name_of(ids.dtype()));
  Tensor out = Tensor::empty({ids.elements(), x.shape().columns()}, x.dtype());
  gather_rows_kernel({0, 2 * out.bytes() + ids.bytes()}, x, ids, out);
  record({&out}, {&x}, {[ids, shape = x.shape()](std::span<const Tensor> dy) -> Gradients {
           Tensor dx = zeros(shape, dy[0].dtype());
           scatter_rows(dy[0], ids, dx);
           return {dx};
         }});
  return out;
}

namespace {

void gather_rows_plain(const Tensor& x, const Tensor& ids, Tensor& out) {
  int64_t row_bytes = x.shape().columns() * size_of(x.dtype()), rows = ids.elements();
  const std::byte* from = x.data<std::byte>();
  std::byte* to = out.data<std::byte>();
  const int32_t* id = ids.data<int32_t>();
#pragma omp parallel for schedule(static) if (out.elements() > kParallelElements)
  for (int64_t r = 0; r < rows; ++r) std::memcpy(to + r * row_bytes, from + id[r] * row_bytes, size_t(row_bytes));
}

/// Each thread owns whole cache lines of columns, and goes through all rows in order: no races, the same sums.
void scatter_rows_plain(const Tensor& x, const Tensor& ids, Tensor& out, Tensor&) {
  visit_floating(x.dtype(), [&]<class X>(Element<X>) {
    visit_floating(out.dtype(), [&]<class O>(Element<O>) {
      const X* from = x.data<X>();
      O* to = out.data<O>();
      const int32_t* id = ids.data<int32_t>();
      int64_t rows = ids.elements(), columns = x.shape().columns(), parts = (columns + 31) / 32;
#pragma omp parallel if (x.elements() > kParallelElements)
      {
        int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
        int64_t first = parts * thread / threads * 32, last = std::min(parts * (thread + 1) / threads * 32, columns);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = first; c < last; ++c)
            to[id[r] * columns + c] = O(float(to[id[r] * columns + c]) + float(from[r * columns + c]));
      }
    });
  });
}

const bool provided = gather_rows_kernel.provide(Isa::plain, gather_rows_plain) &&
                      scatter_rows_kernel.provide(Isa::plain, scatter_rows_plain);

}  // namespace
}  // namespace lathe
