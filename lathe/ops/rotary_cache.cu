#include "lathe/ops/rotary_cache.h"

#include "lathe/ops/rotary.cuh"

namespace lathe {
namespace {

void rotary_cache_cuda(const Tensor& qkv, const Tensor& positions, const RotarySpec& spec, const Tensor& slots,
                       Tensor& q, Tensor& cache) {
  int64_t heads = qkv.shape()[1], kept = q.shape()[1];
  visit_device(qkv.dtype(), [&]<class T>(Element<T>) {
    RotaryInput<T> in{.x = on_device<const T>(qkv),
                      .positions = on_device<const int32_t>(positions),
                      .out = on_device<T>(q),
                      .rotated_heads = kept + (heads - kept) / 2,
                      .heads = heads,
                      .head_dim = qkv.shape()[2],
                      .form = form_of(spec),
                      .sign = 1,
                      .kept_heads = kept,
                      .slots = on_device<const int32_t>(slots),
                      .cache = on_device<T>(cache)};
    launch_rotate(in, spec, qkv.shape()[0], {&qkv, &q, &cache}, stream_of(q), "rotary_cache");
  });
}

const bool provided = rotary_cache_kernel.provide(Backend::cuda, rotary_cache_cuda);

}  // namespace
}  // namespace lathe
