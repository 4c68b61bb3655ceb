#include "lathe/ops/sum_all.h"

#include "lathe/ops/parallel.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

using RowSums = Kernel<void(const Tensor&, Tensor&)>;

void total_of_rows(const RowSums& kernel, int64_t flops, const Tensor& x, bool add, Tensor& out) {
  PurposeScope workspace(Purpose::workspace);
  Tensor sums = Tensor::empty({x.shape().rows()});
  kernel({flops, x.bytes() + sums.bytes()}, x, sums);
  total_kernel({sums.elements(), sums.bytes() + out.bytes()}, sums, add, out);
}

}  // namespace

Tensor sum_all(const Tensor& x) {
  Tensor out = Tensor::empty({1});
  total_of_rows(row_sums_kernel, x.elements(), x, false, out);
  record({&out}, {&x}, {[shape = x.shape(), dtype = x.dtype()](std::span<const Tensor> dy) -> Gradients {
           Tensor dx = Tensor::empty(shape, dtype);
           broadcast_kernel({0, dx.bytes()}, dy[0], dx);
           return {dx};
         }});
  return out;
}

void sum_of_squares(const Tensor& x, bool add, Tensor& out) {
  require(out.elements() == 1 && out.dtype() == DType::f32, "sum_of_squares: the result is f32 [1], not ", out.shape());
  total_of_rows(row_sums_of_squares_kernel, 2 * x.elements(), x, add, out);
}

namespace {

template <class Term>
void row_sums_plain(const Tensor& x, Tensor& sums, Term term) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const T* from = x.data<T>();
    float* to = sums.data<float>();
    int64_t rows = x.shape().rows(), columns = x.shape().columns();
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < columns; ++c) sum += term(float(from[r * columns + c]));
      to[r] = float(sum);
    }
  });
}

void sums_plain(const Tensor& x, Tensor& sums) {
  row_sums_plain(x, sums, [](float value) { return double(value); });
}

void squares_plain(const Tensor& x, Tensor& sums) {
  row_sums_plain(x, sums, [](float value) { return double(value) * double(value); });
}

void total_plain(const Tensor& sums, bool add, Tensor& out) {
  const float* from = sums.data<float>();
  float* to = out.data<float>();
  double sum = add ? double(to[0]) : 0;
  for (int64_t i = 0; i < sums.elements(); ++i) sum += double(from[i]);
  to[0] = float(sum);
}

void broadcast_plain(const Tensor& value, Tensor& out) {
  visit_floating(out.dtype(), [&]<class T>(Element<T>) {
    T filled(value.data<float>()[0]);
    T* to = out.data<T>();
    int64_t n = out.elements();
#pragma omp parallel for schedule(static) if (n > kParallelElements)
    for (int64_t i = 0; i < n; ++i) to[i] = filled;
  });
}

const bool provided =
    row_sums_kernel.provide(Isa::plain, sums_plain) && row_sums_of_squares_kernel.provide(Isa::plain, squares_plain) &&
    total_kernel.provide(Isa::plain, total_plain) && broadcast_kernel.provide(Isa::plain, broadcast_plain);

}  // namespace
}  // namespace lathe
