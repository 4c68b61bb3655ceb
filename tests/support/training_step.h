#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lathe/optim/adamw.h"
#include "tests/support/whole_pass.h"

namespace lathe {

/// Whole sequences that end in the summed loss of their targets.
class LossPass : public WholePass {
 public:
  LossPass(const std::vector<int32_t>& tokens, std::vector<int32_t> offsets, const std::vector<int32_t>& targets);
  Tensor finish(const Tensor& hidden, const Project& head) override;

 private:
  Tensor targets_, scale_;
};

/// `count` tokens below `vocabulary`; `seed` makes them others.
std::vector<int32_t> random_tokens(int64_t count, int64_t vocabulary, uint64_t seed);

/// Gives every parameter bytes for training and its initial values; frozen ones no gradient.
void make_ready(const Inventory& inventory, DType compute = DType::f32);

/// One whole step of backward passes, a micro-batch each. Returns the loss of the last; nothing on meta.
std::optional<float> run_step(Model& model, const Inventory& inventory, std::span<Pass* const> micro_batches);
std::optional<float> run_step(Model& model, const Inventory& inventory, Pass& micro_batch);

/// AdamW with a constant learning rate, without clipping.
class Updates {
 public:
  Updates(const Inventory& inventory, float learning_rate);
  void update();

 private:
  AdamW adamw_;
  UpdateState state_;
  Tensor loss_, sum_of_squares_, learning_rate_;
};

/// Named tensors, whole, as [out, in].
using NamedTensors = std::map<std::string, std::vector<float>>;

/// Writes `tensor`, whose rows are `slices`, to its places in `named`.
void put(const std::vector<Slice>& slices, const Tensor& tensor, NamedTensors& named);
void put_gradients(const Inventory& inventory, NamedTensors& named);
void put_kept(const Inventory& inventory, NamedTensors& named);

/// Expects the same names, and values that differ by at most `tolerance` times the largest of their tensor.
void expect_near(const NamedTensors& actual, const NamedTensors& expected, double tolerance);

}  // namespace lathe
