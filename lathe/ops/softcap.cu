#include "lathe/ops/softcap.h"

#include "lathe/tensor/map.cuh"

namespace lathe {
namespace {

struct Bend {
  float cap, inverse;
  __device__ float operator()(float x, float) const { return cap * tanhf(x * inverse); }
};

struct BendSlope {
  float inverse;
  __device__ float operator()(float y, float dy) const {
    float t = y * inverse;
    return dy * (1.0f - t * t);
  }
};

void softcap_cuda(const Tensor& x, float cap, Tensor& y) {
  map_alike(x, Tensor(), y, Bend{cap, 1.0f / cap}, "softcap");
}

void softcap_backward_cuda(const Tensor& y, const Tensor& dy, float cap, Tensor& dx) {
  map_alike(y, dy, dx, BendSlope{1.0f / cap}, "softcap_backward");
}

const bool provided = softcap_kernel.provide(Backend::cuda, softcap_cuda) &&
                      softcap_backward_kernel.provide(Backend::cuda, softcap_backward_cuda);

}  // namespace
}  // namespace lathe
