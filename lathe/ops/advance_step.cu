#include "lathe/ops/advance_step.h"

#include "lathe/tensor/elements.cuh"
#include "lathe/tensor/launch.cuh"

namespace lathe {
namespace {

__global__ void advance(const int* chosen, int* tokens, int* positions, int* slots, int* lengths, int64_t sequences) {
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  if (i >= sequences) return;
  tokens[i] = max(chosen[i], 0);
  ++positions[i], ++slots[i], ++lengths[i];
}

/// Not launched early: kernels of the next step read before those ahead of them end.
void advance_step_cuda(const Tensor& chosen, Tensor& tokens, Tensor& positions, Tensor& slots, Tensor& lengths) {
  int64_t sequences = chosen.elements();
  if (sequences == 0) return;
  advance<<<blocks_for(sequences), kThreads, 0, stream_of(tokens)>>>(
      on_device<const int>(chosen), on_device<int>(tokens), on_device<int>(positions), on_device<int>(slots),
      on_device<int>(lengths), sequences);
  check_launch("advance_step");
}

const bool provided = advance_step_kernel.provide(Backend::cuda, advance_step_cuda);

}  // namespace
}  // namespace lathe
