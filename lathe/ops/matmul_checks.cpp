#include "lathe/ops/matmul_checks.h"

#include "lathe/base/error.h"

namespace lathe {

Shape checked_product(const Tensor& x, const Shape& weight, DType weight_dtype, const Epilogue& epilogue) {
  require(x.shape().rank() > 0 && weight.rank() == 2 && x.shape().columns() == weight[1], "matmul: weight ", weight,
          " does not fit x ", x.shape(), "; it must be [out, ", x.shape().columns(), "]");
  require(x.dtype() == weight_dtype && (x.dtype() == DType::f32 || x.dtype() == DType::bf16), "matmul: x is ",
          name_of(x.dtype()), " and weight ", name_of(weight_dtype), "; both must be f32 or both bf16");
  Shape out = x.shape().with_columns(weight[0]);
  if (const Tensor* bias = epilogue.bias)
    require(bias->shape() == Shape({out.columns()}) && bias->dtype() == DType::f32, "matmul: bias ", bias->shape(), " ",
            name_of(bias->dtype()), " does not fit the product ", out, "; it must be f32 [", out.columns(), "]");
  if (const Tensor* residual = epilogue.residual)
    require(residual->shape() == out && residual->dtype() == x.dtype(), "matmul: residual ", residual->shape(), " ",
            name_of(residual->dtype()), " does not fit the product ", out, " ", name_of(x.dtype()));
  require(!epilogue.activation || !epilogue.residual, "matmul: an activated product ", out,
          " takes no residual; add it afterwards");
  return out;
}

}  // namespace lathe
