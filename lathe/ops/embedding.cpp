#include "lathe/ops/embedding.h"

#include "lathe/ops/gradient_target.h"
#include "lathe/ops/parallel.h"
#include "lathe/ops/rows.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

void check(const Tensor& ids, const Tensor& table) {
  require(ids.dtype() == DType::i32 && table.shape().rank() == 2 && is_floating(table.dtype()),
          "embedding: ids must be i32, not ", name_of(ids.dtype()),
          ", and the table floating [vocabulary, columns], not ", name_of(table.dtype()), ' ', table.shape());
}

Tensor table_gradient(const Tensor& ids, const Tensor& table, const Tensor& dy) {
  if (!table.needs_gradient()) return Tensor();
  GradientTarget target = gradient_target(table);
  if (!target.add) fill(target.into, 0);
  scatter_rows(dy, ids, target.into);
  return target.result();
}

}  // namespace

Tensor embedding(const Tensor& ids, const Tensor& table) {
  check(ids, table);
  Tensor out = Tensor::empty({ids.elements(), table.shape().columns()}, table.dtype());
  gather_rows_kernel({0, 2 * out.bytes() + ids.bytes()}, table, ids, out);
  record({&out}, {&table},
         {[ids, table](std::span<const Tensor> dy) -> Gradients { return {table_gradient(ids, table, dy[0])}; }});
  return out;
}

Tensor embedding_sum(const Tensor& ids, const Tensor& table, const Tensor& positions, const Tensor& position_table) {
  check(ids, table);
  check(positions, position_table);
  require(ids.elements() == positions.elements() && table.dtype() == position_table.dtype() &&
              table.shape().columns() == position_table.shape().columns(),
          "embedding_sum: ids ", ids.shape(), " of table ", name_of(table.dtype()), ' ', table.shape(),
          " do not fit positions ", positions.shape(), " of ", name_of(position_table.dtype()), ' ',
          position_table.shape());
  Tensor out = Tensor::empty({ids.elements(), table.shape().columns()}, table.dtype());
  embedding_sum_kernel({out.elements(), 3 * out.bytes() + 2 * ids.bytes()}, ids, table, positions, position_table, out);
  record({&out}, {&table, &position_table}, {[=](std::span<const Tensor> dy) -> Gradients {
           return {table_gradient(ids, table, dy[0]), table_gradient(positions, position_table, dy[0])};
         }});
  return out;
}

namespace {

void embedding_sum_plain(const Tensor& first_ids, const Tensor& first, const Tensor& second_ids, const Tensor& second,
                         Tensor& out) {
  visit_floating(out.dtype(), [&]<class T>(Element<T>) {
    int64_t rows = first_ids.elements(), columns = out.shape().columns();
#pragma omp parallel for schedule(static) if (out.elements() > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) {
      const T* a = first.data<T>() + first_ids.data<int32_t>()[r] * columns;
      const T* b = second.data<T>() + second_ids.data<int32_t>()[r] * columns;
      T* to = out.data<T>() + r * columns;
      for (int64_t c = 0; c < columns; ++c) to[c] = T(float(a[c]) + float(b[c]));
    }
  });
}

const bool provided = embedding_sum_kernel.provide(Isa::plain, embedding_sum_plain);

}  // namespace
}  // namespace lathe
