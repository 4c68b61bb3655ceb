#pragma once

#include "lathe/tensor/tensor.h"

namespace lathe {

/// Where an op writes the f32 gradient of a weight: in place where the leaf offers a slot, else in a new tensor.
struct GradientTarget {
  Tensor into;    ///< f32, the input's shape
  bool add;       ///< add to what is there; false: overwrite all of it
  bool in_place;  ///< the leaf's own bytes
  /// What the backward rule returns for this input.
  Tensor result() const { return in_place ? Tensor() : into; }
};

/// Must be written at once (GradientSink::slot).
GradientTarget gradient_target(const Tensor& input);

/// A tensor for the gradient `like` another, which may take over the bytes of `spent` when nobody else holds them and
/// shape and type agree. Kernels that write it must read each element of `spent` before they write it.
Tensor gradient_over(const Tensor& spent, const Tensor& like);

}  // namespace lathe
