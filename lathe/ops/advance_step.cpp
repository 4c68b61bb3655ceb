#include "lathe/ops/advance_step.h"

#include <algorithm>

namespace lathe {

void advance_step(const Tensor& chosen, Tensor& tokens, Tensor& positions, Tensor& slots, Tensor& lengths) {
  for (const Tensor* each : std::initializer_list<const Tensor*>{&chosen, &tokens, &positions, &slots, &lengths})
    if (each->dtype() != DType::i32 || each->shape() != chosen.shape() || each->shape().rank() != 1)
      throw InternalError(
          text("advance_step: ", name_of(each->dtype()), ' ', each->shape(), " beside ", chosen.shape()));
  advance_step_kernel({0, 8 * chosen.bytes()}, chosen, tokens, positions, slots, lengths);
}

namespace {

void advance_step_plain(const Tensor& chosen, Tensor& tokens, Tensor& positions, Tensor& slots, Tensor& lengths) {
  for (int64_t i = 0; i < chosen.elements(); ++i) {
    tokens.data<int32_t>()[i] = std::max(chosen.data<int32_t>()[i], 0);
    for (Tensor* each : {&positions, &slots, &lengths}) ++each->data<int32_t>()[i];
  }
}

const bool provided = advance_step_kernel.provide(Isa::plain, advance_step_plain);

}  // namespace
}  // namespace lathe
