#pragma once

#include "lathe/ops/matmul_ring.cuh"
#include "lathe/ops/normed_product.h"

namespace lathe {

static_assert(kMostNormedColumns == kRingWarps * kWarp * kPackOf<__nv_bfloat16>);  // see normalize_row()

inline NarrowProduct narrow_product(const NormedProduct& product, int64_t columns, const Tensor& out) {
  return {.x = on_device<const __nv_bfloat16>(product.x),
          .out = out.data<std::byte>(),
          .bias = on_device<const float>(product.bias),
          .residual = nullptr,
          .rows = int(product.x.shape().rows()),
          .columns = int(columns),
          .depth = int(product.x.shape().columns()),
          .out_columns = int(out.shape().columns()),
          .add = false,
          .norm = {on_device<const float>(product.norm.weight), product.norm.eps, product.norm.weight_offset},
          .gated = product.gate.has_value(),
          .activation = product.gate.value_or(Activation{})};
}

}  // namespace lathe
