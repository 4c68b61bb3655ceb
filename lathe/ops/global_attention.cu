#include "lathe/ops/global_attention.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

template <class T>
struct Join {
  const T *other, *wide;
  const float* other_logsumexp;
  const int* places;
  T* out;
  float* logsumexp;
  int64_t tokens;
  int heads, width;
};

/// A warp for each head of each token: grid-stride over them.
template <class T>
__global__ void join_kernel(Join<T> in) {
  int lane = int(threadIdx.x) % 32;
  int64_t first = (blockIdx.x * int64_t(blockDim.x) + threadIdx.x) / 32, stride = int64_t(gridDim.x) * blockDim.x / 32;
  for (int64_t i = first; i < in.tokens * in.heads; i += stride) {
    int64_t token = i / in.heads, head = i - token * in.heads, at = head * in.tokens + token;
    int place = in.places[token];
    float own = in.logsumexp[at], others = in.other_logsumexp[at], highest = fmaxf(own, others);
    float sum = __expf(own - highest) + __expf(others - highest);
    float share = place >= 0 || isinf(highest) ? 0.0f : __expf(others - highest) / sum;
    const T* other = place >= 0 ? in.wide + (int64_t(place) * in.heads + head) * in.width : in.other + i * in.width;
    for (int d = lane; d < in.width; d += 32) {
      float here = to_float(in.out[i * in.width + d]), there = to_float(other[d]);
      in.out[i * in.width + d] = from_float<T>(place >= 0 ? there : here + share * (there - here));
    }
    __syncwarp();
    if (lane == 0 && (place >= 0 || !isinf(highest))) in.logsumexp[at] = place >= 0 ? INFINITY : highest + __logf(sum);
  }
}

void join_attention_cuda(const Tensor& other_out, const Tensor& other_logsumexp, const Tensor& wide,
                         const Tensor& places, Tensor& out, Tensor& logsumexp) {
  int64_t heads = logsumexp.shape()[0], tokens = logsumexp.shape()[1];
  if (out.elements() == 0) return;
  visit_device(out.dtype(), [&]<class T>(Element<T>) {
    Join<T> join{on_device<const T>(other_out),
                 on_device<const T>(wide),
                 on_device<const float>(other_logsumexp),
                 on_device<const int>(places),
                 on_device<T>(out),
                 on_device<float>(logsumexp),
                 tokens,
                 int(heads),
                 int(out.shape()[1] / heads)};
    join_kernel<<<blocks_for(tokens * heads * 32), kThreads, 0, stream_of(out)>>>(join);
  });
  check_launch("join_attention");
}

const bool provided = join_attention_kernel.provide(Backend::cuda, join_attention_cuda);

}  // namespace
}  // namespace lathe
