#include "lathe/ops/column_sums.h"

#include <algorithm>

#include "lathe/ops/parallel.h"

namespace lathe {

int64_t row_chunks(Device device, int64_t rows) {
  constexpr int64_t kCudaChunks = 396, kRowsOfChunk = 4;  // three blocks for each of 132 multiprocessors, of four warps
  if (device.backend == Backend::cpu) return row_chunks(rows);
  return std::clamp<int64_t>((rows + kRowsOfChunk - 1) / kRowsOfChunk, 1, kCudaChunks);
}

Tensor column_partials(int64_t rows, int64_t columns) {
  PurposeScope workspace(Purpose::workspace);
  return Tensor::empty({row_chunks(Runtime::current().device, rows), columns});
}

void sum_partials(const Tensor& partials, int64_t first, const GradientTarget& target) {
  Tensor out = target.into;
  int64_t elements = partials.shape()[0] * out.elements();
  sum_partials_kernel({elements, 4 * elements + (target.add ? 2 : 1) * out.bytes()}, partials, first, target.add, out);
}

Tensor bias_gradient(const Tensor& dy, const Tensor& bias) {
  Tensor partials = column_partials(dy.shape().rows(), dy.shape().columns());
  column_partials_kernel({dy.elements(), dy.bytes() + partials.bytes()}, dy, partials);
  GradientTarget target = gradient_target(bias);
  sum_partials(partials, 0, target);
  return target.result();
}

namespace {

void column_partials_plain(const Tensor& x, Tensor& partials) {
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
    const T* from = x.data<T>();
    float* to = partials.data<float>();
    int64_t rows = x.shape().rows(), columns = x.shape().columns(), chunks = partials.shape()[0];
#pragma omp parallel for schedule(static) if (x.elements() > kParallelElements)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      float* sums = to + chunk * columns;
      for (int64_t c = 0; c < columns; ++c) sums[c] = 0;
      for (int64_t r = rows * chunk / chunks; r < rows * (chunk + 1) / chunks; ++r)
        for (int64_t c = 0; c < columns; ++c) sums[c] += float(from[r * columns + c]);
    }
  });
}

void sum_partials_plain(const Tensor& partials, int64_t first, bool add, Tensor& out) {
  const float* from = partials.data<float>() + first;
  float* to = out.data<float>();
  int64_t chunks = partials.shape()[0], stride = partials.shape().columns(), columns = out.elements();
#pragma omp parallel for schedule(static) if (chunks * columns > kParallelElements)
  for (int64_t c = 0; c < columns; ++c) {
    float sum = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += from[chunk * stride + c];
    to[c] = add ? to[c] + sum : sum;
  }
}

const bool provided = column_partials_kernel.provide(Isa::plain, column_partials_plain) &&
                      sum_partials_kernel.provide(Isa::plain, sum_partials_plain);

}  // namespace
}  // namespace lathe
