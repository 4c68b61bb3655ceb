// Families divided over tensor-parallel ranks.
#include <gtest/gtest.h>

#include <mutex>

#include "lathe/files/tensor_files.h"
#include "lathe/models/family.h"
#include "lathe/nn/completion.h"
#include "tests/models/fixture_support.h"
#include "tests/support/ranks.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

using test::Fixture;

/// Gradients of one step over the longest sequence, put together from all ranks.
NamedTensors gradients_over(const Fixture& fixture, int size) {
  NamedTensors named;
  std::mutex mutex;
  std::vector<int32_t> tokens = fixture.sequences.back(), targets(tokens.begin() + 1, tokens.end());
  targets.push_back(-1);
  on_ranks(size, [&](Communicator& ranks) {
    Mesh mesh = tensor_mesh(ranks);
    auto model = make_model(fixture.config, mesh);
    complete_gradients(*model);
    Inventory inventory = model->inventory();
    for (Parameter* parameter : inventory.parameters) parameter->materialize_trained(DType::f32);
    load_tensors(inventory, TensorFiles(fixture.weights), family_named(fixture.config.model_type).tensor_prefix);
    LossPass pass(tokens, {0, int32_t(tokens.size())}, targets);
    run_step(*model, inventory, pass);
    std::lock_guard lock(mutex);
    put_gradients(inventory, named);
  });
  return named;
}

class SplitFamily : public testing::TestWithParam<std::pair<const char*, int>> {};
INSTANTIATE_TEST_SUITE_P(Kinds, SplitFamily,
                         testing::Values(std::pair{"gpt2", 2}, std::pair{"gptj", 2}, std::pair{"gpt_neox", 2},
                                         std::pair{"opt_norms_behind", 2}, std::pair{"bloom", 3},
                                         std::pair{"falcon_new", 2}, std::pair{"falcon_alibi", 4},
                                         std::pair{"mistral", 2}, std::pair{"qwen2", 2}, std::pair{"qwen3", 2},
                                         std::pair{"gemma2", 2}, std::pair{"gemma3_text", 2}, std::pair{"phi3", 2}),
                         [](const auto& kind) { return std::string(kind.param.first); });

TEST_P(SplitFamily, HasTheGradientsOfTheWhole) {
  Fixture fixture(GetParam().first);
  NamedTensors whole = gradients_over(fixture, 1), split = gradients_over(fixture, GetParam().second);
  double largest = 0;
  for (const auto& [name, values] : whole)
    for (float value : values) largest = std::max(largest, std::abs(double(value)));
  for (auto& [name, values] : whole)
    values.push_back(float(0.01 * largest));  // some are rounding alone: biases of keys
  for (auto& [name, values] : split) values.push_back(float(0.01 * largest));
  expect_near(split, whole, 1e-4);
}

TEST(SplitFamilies, NameWhatDoesNotDivide) {
  for (const char* kind : {"falcon", "mixtral"}) EXPECT_THROW(gradients_over(Fixture(kind), 2), Error) << kind;
}

}  // namespace
}  // namespace lathe
