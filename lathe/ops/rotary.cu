#include "lathe/ops/rotary.cuh"

namespace lathe {
namespace {

void rotary_cuda(const Tensor& x, const Tensor& positions, int64_t rotated_heads, const RotarySpec& spec, bool back,
                 Tensor& out, Tensor&) {
  int64_t heads = x.shape()[1];
  visit_device(x.dtype(), [&]<class T>(Element<T>) {
    RotaryInput<T> in{.x = on_device<const T>(x),
                      .positions = on_device<const int32_t>(positions),
                      .out = on_device<T>(out),
                      .rotated_heads = rotated_heads,
                      .heads = heads,
                      .head_dim = x.shape()[2],
                      .form = form_of(spec),
                      .sign = back ? -1.0f : 1.0f,
                      .kept_heads = heads};
    launch_rotate(in, spec, x.shape()[0], {&x, &out}, stream_of(out), "rotary");
  });
}

const bool provided = rotary_kernel.provide(Backend::cuda, rotary_cuda);

}  // namespace
}  // namespace lathe
