#include "lathe/ops/rms_norm.h"

#include "lathe/ops/column_sums.h"
#include "lathe/ops/norm.cuh"
#include "lathe/ops/norm_backward.cuh"

namespace lathe {
namespace {

void rms_norm_cuda(const Tensor& x, const Tensor& weight, float eps, float offset, Tensor& y, Tensor& rstd) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    bool fit = packs_fit(kPackOf<T>, columns, {&x, &weight, &y});
    norm_cuda<false, T>({.x = on_device<const T>(x),
                         .weight = on_device<const float>(weight),
                         .bias = nullptr,
                         .eps = eps,
                         .offset = offset,
                         .y = on_device<T>(y),
                         .means = nullptr,
                         .rstds = on_device<float>(rstd),
                         .rows = rows,
                         .columns = columns},
                        fit, stream_of(y), "rms_norm");
  });
}

void rms_norm_backward_cuda(const Tensor& x, const Tensor& weight, float offset, const Tensor& rstd, const Tensor& dy,
                            Tensor& dx, Tensor& partials) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  const Tensor& written = dx ? dx : partials;
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    NormBackward<T> in{.x = on_device<const T>(x),
                       .weight = on_device<const float>(weight),
                       .means = nullptr,
                       .rstds = on_device<const float>(rstd),
                       .dy = on_device<const T>(dy),
                       .dx = on_device<T>(dx),
                       .dweight = on_device<float>(partials),
                       .dbias = nullptr,
                       .rows = rows,
                       .columns = columns,
                       .stride = columns,
                       .offset = offset};
    bool fit = packs_fit(kPackOf<T>, columns, {&x, &weight, &dy, &dx, &partials});
    norm_backward_cuda<false, false>(in, fit, unsigned(row_chunks(written.device(), rows)), stream_of(written),
                                     "rms_norm_backward");
  });
}

const bool provided = rms_norm_kernel.provide(Backend::cuda, rms_norm_cuda) &&
                      rms_norm_backward_kernel.provide(Backend::cuda, rms_norm_backward_cuda);

}  // namespace
}  // namespace lathe
