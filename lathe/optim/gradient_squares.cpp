#include "lathe/optim/gradient_squares.h"

#include "lathe/ops/sum_all.h"
#include "lathe/tensor/sum.h"

namespace lathe {
namespace {

void in_few_launches(std::span<const Tensor> gradients, Tensor& out) {
  int64_t chunks = 0, elements = 0;
  for (const Tensor& gradient : gradients) {
    elements += gradient.elements();
    chunks += (gradient.elements() + kSquaresChunk - 1) / kSquaresChunk;
  }
  PurposeScope workspace(Purpose::workspace);
  Tensor partials = Tensor::empty({chunks});
  int64_t bytes = elements * size_of(DType::f32) + 2 * partials.bytes() + out.bytes();
  gradient_squares_kernel({2 * elements, bytes}, gradients, partials, out);
}

}  // namespace

void gradient_squares(std::span<const Tensor> gradients, Tensor& out) {
  for (const Tensor& gradient : gradients)
    if (gradient.dtype() != DType::f32) throw InternalError(text("a gradient of type ", name_of(gradient.dtype())));
  if (gradients.empty()) return fill(out, 0);
  if (out.device().backend != Backend::cpu) return in_few_launches(gradients, out);
  for (const Tensor& gradient : gradients) sum_of_squares(gradient, &gradient != &gradients.front(), out);
}

}  // namespace lathe
