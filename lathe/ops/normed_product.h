#pragma once
// Products of what an RMS norm makes of x, as attention and MLPs of LLaMA's kind begin. Where decoding has few rows, a
// GPU's product takes a gated unit behind it along, and the norm of a single row: each kernel less is a wait less.

#include <optional>

#include "lathe/ops/activation.h"
#include "lathe/ops/matmul_packed.h"
#include "lathe/tensor/kernel.h"

namespace lathe {

/// rms_norm(x, weight, eps, weight_offset) on the way into a product.
struct InputNorm {
  Tensor weight;
  float eps = 0, weight_offset = 0;
};
Tensor normalized(const Tensor& x, const InputNorm& norm);

/// What is done to a product of normalized rows.
struct NormedEpilogue {
  const Tensor* bias = nullptr;         ///< f32 [out]
  std::optional<Activation> gate = {};  ///< gated_activate() of the product with its bias: [..., out / 2]
};

/// matmul(normalized(x, norm), weight, ...), gated where asked for, to the bit. Not differentiable.
Tensor matmul_normed(const Tensor& x, const InputNorm& norm, const PackedMatrix& weight,
                     const NormedEpilogue& epilogue);

/// What kernels read besides the weight.
struct NormedProduct {
  Tensor x;
  InputNorm norm;
  Tensor bias;
  std::optional<Activation> gate;
};
/// Of few rows of bf16, on GPUs alone. `scratch`: of the size of the product that is gated, where it is.
constinit inline Kernel<void(const NormedProduct& product, const PackedMatrix& weight, Tensor& scratch, Tensor& out)>
    normed_product_kernel{"matmul_normed"};

constexpr int64_t kMostNormedColumns = 2048;  ///< of x: eight for each thread of a block that multiplies
constexpr int64_t kMostNormedRows = 1;        ///< whose norm each block of the product takes for itself
constexpr int64_t kMostGatedRows = 32;        ///< whose product is gated in its kernel
/// Whether there is a kernel that does more than one of those things: for up to `most_rows` rows of bf16 on a GPU, with
/// whole tiles of gates.
bool has_kernel(const NormedProduct& product, int64_t out, int64_t most_rows);
struct NormedOutput {
  Tensor out, scratch;
};
/// What it writes. Takes from the arena all that the kernels one by one take, in their order, so that a step of few
/// rows can be replayed where more were rehearsed: the normalized rows, the product, its workspace, what is left of
/// gates.
NormedOutput take_in_turn(const NormedProduct& product, int64_t out, int64_t workspace_bytes);
/// But for the weight's bytes.
Work work_of(const NormedProduct& product, int64_t out);

}  // namespace lathe
