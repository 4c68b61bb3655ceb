#include "tests/support/training_step.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/nn/loss.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"

namespace lathe {

LossPass::LossPass(const std::vector<int32_t>& tokens, std::vector<int32_t> offsets,
                   const std::vector<int32_t>& targets)
    : WholePass(tokens, std::move(offsets)), targets_(tensor_of(targets)), scale_(zeros({1})) {
  fill(scale_, 1);
}

Tensor LossPass::finish(const Tensor& hidden, const Project& head) {
  return chunked_cross_entropy(hidden, head, targets_, scale_, 5);
}

std::vector<int32_t> random_tokens(int64_t count, int64_t vocabulary, uint64_t seed) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(int32_t(Random(seed).bits(uint64_t(i)) % uint32_t(vocabulary)));
  return tokens;
}

void make_ready(const Inventory& inventory, DType compute) {
  for (Parameter* parameter : inventory.parameters) {
    parameter->materialize_trained(compute);
    initialize(*parameter, Random(1));
    parameter->refresh();
  }
}

std::optional<float> run_step(Model& model, const Inventory& inventory, std::span<Pass* const> micro_batches) {
  for (Parameter* parameter : inventory.parameters) parameter->begin_step(int64_t(micro_batches.size()));
  Tensor loss, one = zeros({1});
  fill(one, 1);
  for (Pass* pass : micro_batches) {
    Tape tape;
    {
      Recording recording(&tape);
      loss = model.forward(*pass);
    }
    tape.backward(loss, one);
  }
  for (Parameter* parameter : inventory.parameters) parameter->finish_step();
  return read_value<float>(loss);
}

std::optional<float> run_step(Model& model, const Inventory& inventory, Pass& micro_batch) {
  Pass* pass = &micro_batch;
  return run_step(model, inventory, {&pass, 1});
}

Updates::Updates(const Inventory& inventory, float learning_rate)
    : adamw_({}, inventory),
      state_({.clip_norm = 0}),
      loss_(zeros({1})),
      sum_of_squares_(zeros({1})),
      learning_rate_(zeros({1})) {
  fill(learning_rate_, learning_rate);
}

void Updates::update() {
  state_.decide(loss_, sum_of_squares_, learning_rate_);
  adamw_.update(state_);
}

void put(const std::vector<Slice>& slices, const Tensor& tensor, NamedTensors& named) {
  std::vector<float> values = values_of(tensor);
  auto from = values.begin();
  for (const Slice& slice : slices) {
    std::vector<float>& whole = named[slice.name];
    whole.resize(size_t(slice.whole_rows * slice.whole_columns));
    for (int64_t row = slice.first_row; row < slice.first_row + slice.rows; ++row, from += slice.columns)
      std::copy(from, from + slice.columns, whole.begin() + row * slice.whole_columns + slice.first_column);
  }
}

void put_gradients(const Inventory& inventory, NamedTensors& named) {
  for (const Parameter* parameter : inventory.parameters)
    if (parameter->trained()) put(parameter->slices, parameter->gradient, named);
}

void put_kept(const Inventory& inventory, NamedTensors& named) {
  for (const Parameter* parameter : inventory.parameters) put(parameter->slices, parameter->kept, named);
}

void expect_near(const NamedTensors& actual, const NamedTensors& expected, double tolerance) {
  ASSERT_FALSE(expected.empty());
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, values] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    const std::vector<float>& found = actual.at(name);
    ASSERT_EQ(found.size(), values.size()) << name;
    double largest = 0, difference = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_TRUE(std::isfinite(values[i]) && std::isfinite(found[i])) << name << ' ' << i;
      largest = std::max(largest, std::abs(double(values[i])));
      difference = std::max(difference, std::abs(double(found[i]) - double(values[i])));
    }
    EXPECT_LE(difference, tolerance * largest) << name;
  }
}

}  // namespace lathe
