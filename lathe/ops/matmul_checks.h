#pragma once

#include "lathe/ops/matmul.h"

namespace lathe {

/// The shape of x times a weight, once everything is found to fit. Throws Error that names both sides otherwise.
Shape checked_product(const Tensor& x, const Shape& weight, DType weight_dtype, const Epilogue& epilogue);

}  // namespace lathe
