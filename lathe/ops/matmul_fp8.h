#pragma once

#include "lathe/ops/matmul.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// The two types of eight bits (Micikevicius et al. 2022): E4M3 reaches 448 with three bits of mantissa and is for
/// values and weights, E5M2 reaches 57344 with two and is for gradients.
enum class Fp8 : uint8_t { e4m3, e5m2 };
constexpr float largest_of(Fp8 format) { return format == Fp8::e4m3 ? 448.0f : 57344.0f; }

/// Where a scale has the factor of the codes: 16 bytes in, as cuBLASLt reads it.
constexpr int64_t kFp8Factor = 4;

/// A matrix [rows, columns] in eight bits: element = code * scale[kFp8Factor]. One scale for all, so that the largest
/// magnitude, scale[0], has the largest code (current scaling: nothing is remembered from step to step).
struct Fp8Matrix {
  Fp8 format = Fp8::e4m3;
  Tensor along = {};   ///< u8 [rows, columns], or empty
  Tensor across = {};  ///< u8 [columns, rows], the transposed, or empty
  Tensor scale = {};   ///< f32 [kFp8Factor + 1]
};

/// Whether matmul_fp8 can: all extents are multiples of 16, as tensor cores read them.
bool fp8_fits(int64_t rows, const Shape& weight);

/// matmul of bf16 operands through FP8: y = x wᵀ (+ bias) (+ residual) with x and w in E4M3; in backward dy in E5M2.
/// All sums are f32, y and dx bf16, the gradients of weight and bias f32. x [..., in], weight [out, in]. Throws Error
/// when the shapes or types do not fit, or fp8_fits() is false. Differentiable in all four; keeps x's transposed codes,
/// a byte an element, and weight, which is quantized again.
Tensor matmul_fp8(const Tensor& x, const Tensor& weight, const Epilogue& epilogue = {});

/// scale[0] = the largest magnitude of x, NaN when there is one; scale[kFp8Factor] = what codes are multiplied with.
constinit inline Kernel<void(const Tensor& x, Fp8 format, Tensor& scale)> fp8_scale_kernel{"fp8_scale"};
/// The codes of x [rows, columns], rounded to the nearest even; `along` or `across` may be empty.
constinit inline Kernel<void(const Tensor& x, Fp8 format, const Tensor& scale, Tensor& along, Tensor& across)>
    fp8_quantize_kernel{"fp8_quantize"};

/// One operand: codes u8 [outer, depth].
struct Fp8Operand {
  Tensor codes, scale;
  Fp8 format = Fp8::e4m3;
};
struct Fp8Product {
  Fp8Operand a, b;
  bool add = false;      ///< to what `out` holds; f32 outputs only
  bool precise = true;   ///< sums as exact as f32; false: a few bits less, a little faster (Hopper alone)
  Tensor bias = {};      ///< f32, one a column of out; bf16 outputs only
  Tensor residual = {};  ///< like out; bf16 outputs only
};
/// out [a's outer, b's outer] = a b (+ out) (+ bias) (+ residual) over the common depth.
constinit inline Kernel<void(const Fp8Product& product, Tensor& workspace, Tensor& out)> fp8_product_kernel{
    "matmul_fp8"};

}  // namespace lathe
