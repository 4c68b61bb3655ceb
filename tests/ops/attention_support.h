#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lathe/base/isa.h"
#include "lathe/ops/attention.h"

namespace lathe {

/// An i32 tensor of `values`.
Tensor numbers_of(const std::vector<int32_t>& values);
/// Normal numbers times `size`, keyed by `seed`.
Tensor normal_numbers(Shape shape, uint64_t seed, DType dtype = DType::f32, float size = 1);

/// The values of a floating tensor of any device.
std::vector<float> floats_of(const Tensor& x);

/// What attention gives for some input: the output and the gradients, each in f32, of the sum of out * weights with
/// fixed random weights.
struct AttentionResult {
  std::vector<std::vector<float>> parts;  ///< out, dqkv (or dq, dkv), dbias
};

/// A case: packed sequences of these lengths; `memory` lengths, if any, make it attention to encoder memory.
struct AttentionCase {
  std::string name;
  AttentionSpec spec;
  std::vector<int32_t> lengths, memory;
  int64_t distances = 0;  ///< > 0: with a bias, its zero in the middle

  static AttentionCase of(std::string name, int64_t heads, int64_t kv_heads, int64_t head_dim,
                          std::vector<int32_t> lengths);
  AttentionCase with(const std::function<void(AttentionCase&)>& change, const std::string& suffix) const;
};

/// Runs a case forward and backward on a Runtime of its own under the given instruction set.
AttentionResult run_attention(const AttentionCase& the_case, DType dtype, Isa isa, int threads = 0);
AttentionResult run_attention(const AttentionCase& the_case, DType dtype, Device device);
/// The slope of that sum along a random direction in each input (qkv or q, memory, bias).
struct AttentionSlope {
  double by_gradient, by_differences;
};
std::vector<AttentionSlope> attention_slopes(const AttentionCase& the_case, uint64_t seed);

/// The same work on `device`: totals and memory of the Runtime at the end.
struct AttentionCosts {
  WorkTotals work;
  int64_t peak, reserved;
  bool operator==(const AttentionCosts&) const = default;
};
AttentionCosts attention_costs(const AttentionCase& the_case, DType dtype, Device device);

/// Largest difference of parts of the same place, each relative to the largest number of its part in `expected`.
float difference(const AttentionResult& expected, const AttentionResult& actual);

/// Instruction sets this processor has, best last.
std::vector<Isa> available_isas();

/// While it lives, avx512 multiplies bf16 in pairs, or widens it.
class MultipliesPairs {
 public:
  explicit MultipliesPairs(bool pairs) : before_(multiplies_pairs()) { set_multiplies_pairs(pairs); }
  ~MultipliesPairs() { set_multiplies_pairs(before_); }

 private:
  bool before_;
};

/// Cases that differ in one thing each.
std::vector<AttentionCase> attention_cases();

}  // namespace lathe
