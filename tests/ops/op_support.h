#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "lathe/tensor/tensor.h"

namespace lathe {

/// One input of an op under test. Floating inputs take the dtype under test and random values of [low, high], or
/// `values`; integers are given.
struct OpInput {
  Shape shape;
  bool always_f32 = false;  ///< weights of norms, biases: f32 whatever the dtype under test
  bool differentiable = true;
  float low = -1, high = 1;
  std::vector<float> values = {};
  std::vector<int32_t> ids = {};  ///< when not empty: an i32 input, not differentiable
};

/// An i32 input.
OpInput ids_input(std::vector<int32_t> ids);
/// A weight: f32 always.
OpInput f32_input(Shape shape);

/// Differences are allowed up to tolerance * (largest magnitude of the expected tensor).
struct OpTolerances {
  double gradient = 2e-3;  ///< f32 tape against differences of fourth order: limited by rounding of the f32 output
  double bf16 = 2e-2;      ///< bf16 against f32: 8 bits a stored value, and a few of them in a chain
  double isa_f32 = 1e-5;   ///< avx2 and avx512 against plain: sums in another order, polynomials for exp
  double isa_bf16 = 2e-2;  ///< a value between two bf16 numbers may round to either
  double gpu_f32 = 2e-5;   ///< cuda against plain: sums in other orders, exponentials of the GPU's own instructions
  double gpu_bf16 = 2e-2;  ///< as isa_bf16
};

struct OpOptions {
  OpTolerances tolerances = {};
  std::vector<DType> dtypes = {DType::f32, DType::bf16};
  int samples = 12;  ///< elements of each input whose derivative is measured
};

/// For inputs large enough for parallel kernels, whose small cases are checked with everything.
const OpOptions kParallel = {.dtypes = {DType::bf16}, .samples = 0};
/// For sizes that only a GPU is fast enough for: nothing is checked but cuda against the cpu's plain kernels.
const OpOptions kGpuOnly = {.dtypes = {}, .samples = 0};

using Op = std::function<Tensor(std::span<const Tensor> inputs)>;

/// Runs `op` and its backward pass, and checks for each dtype:
///   gradients against central differences (f32), or against those of f32 (others);
///   avx2 and avx512 against plain, where this processor has them;
///   meta against cpu: allocations (size, order, purpose, lifetime), peak, kernels, FLOPs and bytes equal;
///   kernels allocate nothing, neither from the arena nor from the heap;
///   1, 2 and 7 threads and a second run: equal bits, and the allocations of meta with as many threads;
///   gradients written in place, over garbage or added, against returned ones;
///   within a RecomputeScope: equal bits.
/// Where there is a GPU also, in f32 and bf16, on inputs of their own:
///   cuda against plain, its memory filled with NaN first;
///   meta:cuda against cuda, a second run, gradients in place or added, a RecomputeScope: as above.
void check_op(const std::string& name, const std::vector<OpInput>& inputs, const Op& op, const OpOptions& options = {});

/// A suite named Gpu...: skipped, saying why, where there is no GPU.
class GpuTest : public testing::Test {
 protected:
  void SetUp() override;
};

/// Tensors of `inputs` on the current Runtime, without gradients: for tests of values and of errors.
std::vector<Tensor> make_inputs(const std::vector<OpInput>& inputs, DType dtype);
/// A floating or integer tensor's values.
std::vector<float> values_of(const Tensor& tensor);
/// A f32 tensor with these values.
Tensor tensor_of(Shape shape, const std::vector<float>& values);

}  // namespace lathe
