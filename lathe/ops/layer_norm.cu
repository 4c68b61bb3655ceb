#include "lathe/ops/layer_norm.h"

#include "lathe/ops/column_sums.h"
#include "lathe/ops/norm.cuh"
#include "lathe/ops/norm_backward.cuh"

namespace lathe {
namespace {

void layer_norm_cuda(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y, Tensor& stats) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  float* means = on_device<float>(stats);
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    bool fit = packs_fit(kPackOf<T>, columns, {&x, &weight, &bias, &y});
    norm_cuda<true, T>({.x = on_device<const T>(x),
                        .weight = on_device<const float>(weight),
                        .bias = on_device<const float>(bias),
                        .eps = eps,
                        .y = on_device<T>(y),
                        .means = means,
                        .rstds = means ? means + rows : nullptr,
                        .rows = rows,
                        .columns = columns},
                       fit, stream_of(y), "layer_norm");
  });
}

void layer_norm_backward_cuda(const Tensor& x, const Tensor& weight, const Tensor& stats, const Tensor& dy, Tensor& dx,
                              Tensor& partials) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns(), stride = partials ? partials.shape().columns() : 0;
  const Tensor& written = dx ? dx : partials;
  float* sums = on_device<float>(partials);
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    NormBackward<T> in{.x = on_device<const T>(x),
                       .weight = on_device<const float>(weight),
                       .means = on_device<const float>(stats),
                       .rstds = on_device<const float>(stats) + rows,
                       .dy = on_device<const T>(dy),
                       .dx = on_device<T>(dx),
                       .dweight = sums,
                       .dbias = stride > columns ? sums + columns : nullptr,
                       .rows = rows,
                       .columns = columns,
                       .stride = stride};
    bool fit = packs_fit(kPackOf<T>, columns, {&x, &weight, &dy, &dx, &partials});
    unsigned blocks = unsigned(row_chunks(written.device(), rows));
    if (in.dbias) return norm_backward_cuda<true, true>(in, fit, blocks, stream_of(written), "layer_norm_backward");
    norm_backward_cuda<true, false>(in, fit, blocks, stream_of(written), "layer_norm_backward");
  });
}

const bool provided = layer_norm_kernel.provide(Backend::cuda, layer_norm_cuda) &&
                      layer_norm_backward_kernel.provide(Backend::cuda, layer_norm_backward_cuda);

}  // namespace
}  // namespace lathe
