#include "lathe/nn/loss.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"
#include "lathe/tensor/total.cuh"

namespace lathe {
namespace {

/// One block: losses are few.
__global__ void total_of_losses(const float* losses, int64_t count, const float* scale, float* loss) {
  double total = total_of(losses, count);
  if (threadIdx.x == 0) loss[0] = float(total * double(scale[0]));
}

void total_loss_cuda(const Tensor& losses, const Tensor& scale, Tensor& loss) {
  total_of_losses<<<1, kAdders, 0, stream_of(loss)>>>(on_device<const float>(losses), losses.elements(),
                                                      on_device<const float>(scale), on_device<float>(loss));
  check_launch("total_loss");
}

const bool provided = total_loss_kernel.provide(Backend::cuda, total_loss_cuda);

}  // namespace
}  // namespace lathe
