#include "lathe/ops/matmul_fp8.h"

#include "lathe/ops/column_sums.h"
#include "lathe/ops/gradient_target.h"
#include "lathe/ops/matmul_checks.h"
#include "lathe/ops/matmul_choices.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

Tensor scale_of(const Tensor& x, Fp8 format) {
  Tensor scale = Tensor::empty({kFp8Factor + 1});
  fp8_scale_kernel({x.elements(), x.bytes()}, x, format, scale);
  return scale;
}

enum Copies { kAlong = 1, kAcross = 2 };

/// x as [rows, columns], in the copies that are wanted; `scale` of an earlier call saves a pass over x.
Fp8Matrix quantize(const Tensor& x, Fp8 format, int copies, Tensor scale = {}) {
  int64_t rows = x.shape().rows(), columns = x.shape().columns();
  Fp8Matrix matrix{.format = format, .scale = scale ? scale : scale_of(x, format)};
  if (copies & kAlong) matrix.along = Tensor::empty({rows, columns}, DType::u8);
  if (copies & kAcross) matrix.across = Tensor::empty({columns, rows}, DType::u8);
  int64_t bytes = x.bytes() + x.elements() * ((copies & kAlong ? 1 : 0) + (copies & kAcross ? 1 : 0));
  Tensor &first = matrix.along, &second = matrix.across;
  fp8_quantize_kernel({x.elements(), bytes}, x, format, matrix.scale, first, second);
  return matrix;
}

Fp8Operand along(const Fp8Matrix& matrix) { return {matrix.along, matrix.scale, matrix.format}; }
Fp8Operand across(const Fp8Matrix& matrix) { return {matrix.across, matrix.scale, matrix.format}; }

Tensor workspace_for(const Fp8Product& product, const Tensor& out) {
  if (out.device().backend != Backend::cuda) return {};
  PurposeScope scope(Purpose::workspace);
  int64_t row = product.bias ? out.shape().columns() * size_of(out.dtype()) : 0;
  return Tensor::empty({kGpuProductWorkspace + row}, DType::u8);
}

void multiply(const Fp8Product& p, Tensor& out) {
  Tensor workspace = workspace_for(p, out);
  int64_t a = p.a.codes.shape()[0], b = p.b.codes.shape()[0], depth = p.a.codes.shape()[1];
  int64_t bytes = p.a.codes.bytes() + p.b.codes.bytes() + (p.add ? 2 : 1) * out.bytes();
  if (p.bias) bytes += p.bias.bytes();
  if (p.residual) bytes += p.residual.bytes();
  fp8_product_kernel({2 * a * b * depth, bytes}, p, workspace, out);
}

Tensor target_of(const Tensor& operand) { return operand.is_leaf() ? operand : Tensor::declare(operand.shape()); }

Tensor weight_gradient(const Tensor& weight, const Fp8Matrix& dy, const Fp8Matrix& x) {
  GradientTarget target = gradient_target(weight);
  multiply({.a = across(dy), .b = across(x), .add = target.add}, target.into);
  return target.result();
}

Tensor input_gradient(const Fp8Matrix& dy, const Tensor& weight, const Tensor& weight_scale, const Shape& shape) {
  Tensor dx = Tensor::empty(shape, DType::bf16);
  multiply({.a = along(dy), .b = across(quantize(weight, Fp8::e4m3, kAcross, weight_scale))}, dx);
  return dx;
}

/// The gradients of x, weight, bias and residual.
BackwardRule rule_of(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual, Fp8Matrix kept,
                     const Tensor& weight_scale) {
  bool dx = x.needs_gradient(), dresidual = residual.needs_gradient();
  Tensor dweight = weight.needs_gradient() ? target_of(weight) : Tensor();
  Tensor dbias = bias.needs_gradient() ? target_of(bias) : Tensor();
  Tensor factor = dx ? weight.detached() : Tensor();
  return {[=, shape = x.shape()](std::span<const Tensor> dy) mutable {
    Gradients gradients(4);
    if (dbias) gradients[2] = bias_gradient(dy[0], dbias);
    if (dresidual) gradients[3] = dy[0];
    if (!dweight && !dx) return gradients;
    Fp8Matrix codes = quantize(dy[0], Fp8::e5m2, (dx ? kAlong : 0) | (dweight ? kAcross : 0));
    if (dweight) gradients[1] = weight_gradient(dweight, codes, kept);
    kept = {};
    codes.across = Tensor();
    if (dx) gradients[0] = input_gradient(codes, factor, weight_scale, shape);
    return gradients;
  }};
}

}  // namespace

bool fp8_fits(int64_t rows, const Shape& weight) {
  return rows % 16 == 0 && weight.rank() == 2 && weight[0] % 16 == 0 && weight[1] % 16 == 0;
}

Tensor matmul_fp8(const Tensor& x, const Tensor& weight, const Epilogue& epilogue) {
  Shape shape = checked_product(x, weight.shape(), weight.dtype(), epilogue);
  require(x.dtype() == DType::bf16, "matmul_fp8: x is ", name_of(x.dtype()), "; it must be bf16");
  require(fp8_fits(x.shape().rows(), weight.shape()), "matmul_fp8: x ", x.shape(), " and weight ", weight.shape(),
          " must have multiples of 16 rows and columns");
  Tensor none;
  const Tensor& bias = epilogue.bias ? *epilogue.bias : none;
  const Tensor& residual = epilogue.residual ? *epilogue.residual : none;
  bool recorded = recording({&x, &weight, &bias, &residual});
  Tensor y = Tensor::empty(shape, x.dtype());
  Fp8Matrix codes = quantize(x, Fp8::e4m3, kAlong | (recorded && weight.needs_gradient() ? kAcross : 0));
  Fp8Matrix factor = quantize(weight, Fp8::e4m3, kAlong);
  multiply({.a = along(codes), .b = along(factor), .precise = false, .bias = bias, .residual = residual}, y);
  codes.along = Tensor();
  if (recorded) record({&y}, {&x, &weight, &bias, &residual}, rule_of(x, weight, bias, residual, codes, factor.scale));
  return epilogue.activation ? activate(std::move(y), *epilogue.activation) : y;
}

}  // namespace lathe
