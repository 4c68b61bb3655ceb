#include "tests/models/fixture_support.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/base/json.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/infer/decoder.h"
#include "lathe/models/family.h"
#include "lathe/nn/prepare.h"
#include "tests/support/checkout.h"
#include "tests/support/training_step.h"

namespace lathe::test {
namespace {

namespace fs = std::filesystem;

fs::path fixtures() { return checkout() / "tests/models/fixtures"; }

void load(const Fixture& fixture, const Inventory& inventory) {
  load_tensors(inventory, TensorFiles(fixture.weights), family_named(fixture.config.model_type).tensor_prefix);
}

double logits_difference(const Fixture& fixture) {
  auto model = trained_model(fixture);
  double largest = 0;
  for (size_t s = 0; s < fixture.sequences.size(); ++s) {
    WholePass pass(fixture.sequences[s], {0, int32_t(fixture.sequences[s].size())});
    largest = std::max(largest, difference(values_of(model->forward(pass)), fixture.logits[s]));
  }
  return largest;
}

/// Norm, and product with cos(0.7 i + 1).
std::vector<double> checks_of(const std::vector<float>& gradient) {
  double squares = 0, wave = 0;
  for (size_t i = 0; i < gradient.size(); ++i) {
    squares += double(gradient[i]) * gradient[i];
    wave += double(gradient[i]) * std::cos(0.7 * double(i) + 1);
  }
  return {std::sqrt(squares), wave};
}

double gradients_difference(const Fixture& fixture) {
  auto model = trained_model(fixture);
  Inventory inventory = model->inventory();
  const std::vector<int32_t>& tokens = fixture.sequences.back();
  std::vector<int32_t> targets(tokens.begin() + 1, tokens.end());
  targets.push_back(-1);
  LossPass pass(tokens, {0, int32_t(tokens.size())}, targets);
  double count = double(tokens.size() - 1);
  double loss = double(run_step(*model, inventory, pass).value()) / count;
  double largest = std::abs(loss - fixture.loss) / fixture.loss;
  NamedTensors gradients;
  put_gradients(inventory, gradients);
  if (gradients.size() != fixture.gradients.size()) return INFINITY;
  double scale = 0;  // of the largest: some gradients, as that of a bias of keys, are rounding alone
  for (const auto& [name, expected] : fixture.gradients) scale = std::max(scale, 1e-3 * expected[0]);
  for (const auto& [name, expected] : fixture.gradients) {
    if (!gradients.contains(name)) return INFINITY;
    std::vector<double> found = checks_of(gradients.at(name));
    for (size_t i = 0; i < found.size(); ++i)
      largest = std::max(largest, std::abs(found[i] / count - expected[i]) / std::max(expected[0], scale));
  }
  return largest;
}

}  // namespace

Fixture::Fixture(const std::string& kind)
    : config(read_model_config((fixtures() / kind).string())), weights((fixtures() / kind).string()) {
  nlohmann::json json = read_json((fixtures() / kind / "expected.json").string());
  if (json.contains("weights")) weights = (fixtures() / json["weights"].get<std::string>()).string();
  json.at("sequences").get_to(sequences);
  json.at("logits").get_to(logits);
  if (json.contains("greedy")) json.at("greedy").get_to(greedy);
  json.at("loss").get_to(loss);
  json.at("gradients").get_to(gradients);
}

std::vector<std::string> fixture_kinds() {
  std::vector<std::string> kinds;
  for (const auto& entry : fs::directory_iterator(fixtures())) kinds.push_back(entry.path().filename().string());
  std::sort(kinds.begin(), kinds.end());
  return kinds;
}

std::unique_ptr<Model> trained_model(const Fixture& fixture, DType compute) {
  auto model = make_model(fixture.config);
  Inventory inventory = model->inventory();
  for (Parameter* parameter : inventory.parameters) parameter->materialize_trained(compute);
  load(fixture, inventory);
  return model;
}

std::unique_ptr<Model> prepared_model(const Fixture& fixture, DType compute) {
  auto model = make_model(fixture.config);
  prepare_for_use(*model, compute, [&](const Inventory& some) { load(fixture, some); });
  return model;
}

double difference(const std::vector<float>& found, const std::vector<float>& expected) {
  if (found.size() != expected.size()) return INFINITY;
  double largest = 0, scale = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    largest = std::max(largest, std::abs(double(found[i]) - double(expected[i])));
    scale = std::max(scale, std::abs(double(expected[i])));
  }
  return std::isfinite(largest) ? largest / scale : INFINITY;
}

Fidelity measured_fidelity(const Fixture& fixture) {
  return {logits_difference(fixture), gradients_difference(fixture)};
}

Written write_greedily(const Fixture& fixture, std::vector<size_t> chunks) {
  auto model = prepared_model(fixture);
  std::vector<uint32_t> tokens(fixture.sequences.back().begin(), fixture.sequences.back().end());
  if (chunks.empty()) chunks = {tokens.size()};
  auto length = int64_t(tokens.size() + fixture.greedy.size());
  Decoder decoder(*model, fixture.config, DType::f32, {.sequences = 1, .length = length, .step_tokens = length});
  std::vector<float> last;
  auto step = [&](std::span<const uint32_t> fed) {
    Feed feed{0, fed};
    decoder.step({&feed, 1}, [&](const Tensor& logits) { last = values_of(logits); });
  };
  size_t at = 0;
  for (size_t chunk : chunks) {
    step(std::span(tokens).subspan(at, chunk));
    at += chunk;
  }
  Written written{last, {}};
  while (written.tokens.size() < fixture.greedy.size()) {
    auto next = uint32_t(std::max_element(last.begin(), last.end()) - last.begin());
    written.tokens.push_back(int32_t(next));
    step({&next, 1});
  }
  return written;
}

std::vector<int32_t> greedy_tokens(const Fixture& fixture) { return write_greedily(fixture).tokens; }

Fixture holdable_in_gguf(const std::string& kind) {
  Fixture fixture(kind);
  ModelConfig& c = fixture.config;
  if (c.model_type.starts_with("gemma")) {
    c.query_pre_attn_scalar = 0;
    c.layer_types.clear();
  }
  if (c.model_type == "mistral" || c.model_type.starts_with("qwen")) {
    c.sliding_window = 0;
    c.layer_types.clear();
  }
  if (c.rope_scaling.rope_type == "yarn") c.rope_scaling.beta_fast = 32, c.rope_scaling.beta_slow = 1;
  c = completed(c);
  return fixture;
}

}  // namespace lathe::test
