#include "lathe/ops/columns.h"

#include <array>
#include <cstring>

#include "lathe/ops/parallel.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

void copy_columns(const Tensor& x, int64_t from, int64_t to, int64_t count, Tensor& out) {
  int64_t bytes = x.shape().rows() * count * size_of(x.dtype());
  copy_columns_kernel({0, 2 * bytes}, x, from, to, count, out);
}

Tensor copied_columns(const Tensor& x, int64_t first, int64_t count) {
  Tensor out = Tensor::empty(x.shape().with_columns(count), x.dtype());
  copy_columns(x, first, 0, count, out);
  return out;
}

}  // namespace

Tensor columns(const Tensor& x, int64_t first, int64_t count) {
  require(first >= 0 && count > 0 && first + count <= x.shape().columns(), "columns: [", first, ", ", first + count,
          ") of x ", x.shape());
  Tensor out = copied_columns(x, first, count);
  record({&out}, {&x}, {[shape = x.shape(), first](std::span<const Tensor> dy) -> Gradients {
           Tensor dx = zeros(shape, dy[0].dtype());
           copy_columns(dy[0], 0, first, dy[0].shape().columns(), dx);
           return {dx};
         }});
  return out;
}

Tensor concatenate_columns(std::span<const Tensor> parts) {
  constexpr size_t kMost = 8;
  require(!parts.empty() && parts.size() <= kMost, "concatenate_columns: 1 to ", kMost, " parts, not ", parts.size());
  int64_t total = 0;
  for (const Tensor& part : parts) {
    require(part.shape().rows() == parts[0].shape().rows() && part.dtype() == parts[0].dtype(),
            "concatenate_columns: ", part.shape(), " does not fit ", parts[0].shape());
    total += part.shape().columns();
  }
  Tensor out = Tensor::empty(parts[0].shape().with_columns(total), parts[0].dtype());
  std::array<int64_t, kMost> widths{};
  std::array<Tensor, kMost> inputs;
  int64_t first = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    inputs[i] = parts[i];
    widths[i] = parts[i].needs_gradient() ? parts[i].shape().columns() : -parts[i].shape().columns();
    copy_columns(parts[i], 0, first, parts[i].shape().columns(), out);
    first += parts[i].shape().columns();
  }
  record({&out}, {&inputs[0], &inputs[1], &inputs[2], &inputs[3], &inputs[4], &inputs[5], &inputs[6], &inputs[7]},
         {[widths](std::span<const Tensor> dy) -> Gradients {
           Gradients gradients(kMost);
           int64_t from = 0;
           for (size_t i = 0; i < kMost; ++i) {
             if (widths[i] > 0) gradients[i] = copied_columns(dy[0], from, widths[i]);
             from += std::abs(widths[i]);
           }
           return gradients;
         }});
  return out;
}

Tensor add_columns(Tensor y, const Tensor& delta, int64_t first) {
  int64_t count = delta.shape().columns();
  require(first >= 0 && first + count <= y.shape().columns() && y.shape().rows() == delta.shape().rows() &&
              y.dtype() == delta.dtype(),
          "add_columns: delta ", delta.shape(), " at column ", first, " does not fit y ", y.shape());
  Tensor out = y.unique() ? y.detached() : Tensor::empty_like(y);
  if (out.shared_storage() != y.shared_storage()) copy(y, out);
  add_columns_kernel({delta.elements(), 3 * delta.bytes()}, delta, first, out);
  bool needs_delta = delta.needs_gradient();
  record({&out}, {&y, &delta}, {[=](std::span<const Tensor> dy) -> Gradients {
           return {dy[0], needs_delta ? copied_columns(dy[0], first, count) : Tensor()};
         }});
  return out;
}

namespace {

void copy_columns_plain(const Tensor& x, int64_t from, int64_t to, int64_t count, Tensor& out) {
  int64_t size = size_of(x.dtype()), rows = x.shape().rows();
  int64_t x_stride = x.shape().columns() * size, out_stride = out.shape().columns() * size;
  const std::byte* source = x.data<std::byte>() + from * size;
  std::byte* target = out.data<std::byte>() + to * size;
#pragma omp parallel for schedule(static) if (rows * count > kParallelElements)
  for (int64_t r = 0; r < rows; ++r) std::memcpy(target + r * out_stride, source + r * x_stride, size_t(count * size));
}

void add_columns_plain(const Tensor& delta, int64_t first, Tensor& y) {
  visit_floating(y.dtype(), [&]<class T>(Element<T>) {
    const T* from = delta.data<T>();
    T* to = y.data<T>() + first;
    int64_t rows = y.shape().rows(), stride = y.shape().columns(), count = delta.shape().columns();
#pragma omp parallel for schedule(static) if (rows * count > kParallelElements)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < count; ++c)
        to[r * stride + c] = T(float(to[r * stride + c]) + float(from[r * count + c]));
  });
}

const bool provided = copy_columns_kernel.provide(Isa::plain, copy_columns_plain) &&
                      add_columns_kernel.provide(Isa::plain, add_columns_plain);

}  // namespace
}  // namespace lathe
