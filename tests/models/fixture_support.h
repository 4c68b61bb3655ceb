#pragma once

#include <map>
#include <string>
#include <vector>

#include "lathe/models/config.h"
#include "lathe/nn/module.h"

namespace lathe::test {

/// A tiny model and what transformers makes of it: see make_fixtures.py.
struct Fixture {
  explicit Fixture(const std::string& kind);

  ModelConfig config;
  std::string weights;  ///< the directory of its tensors
  std::vector<std::vector<int32_t>> sequences;
  std::vector<std::vector<float>> logits;  ///< of each sequence
  std::vector<int32_t> greedy;             ///< behind the last sequence; empty: not comparable
  double loss = 0;                         ///< of the last sequence
  std::map<std::string, std::vector<double>> gradients;
};

/// The kinds in tests/models/fixtures.
std::vector<std::string> fixture_kinds();

/// The model with bytes and its weights: for training, or for use and prepared.
std::unique_ptr<Model> trained_model(const Fixture& fixture, DType compute = DType::f32);
std::unique_ptr<Model> prepared_model(const Fixture& fixture, DType compute = DType::f32);

/// A kind, less what a GGUF file cannot hold of it.
Fixture holdable_in_gguf(const std::string& kind);

/// Largest difference, as a share of the largest expected number.
double difference(const std::vector<float>& found, const std::vector<float>& expected);

/// What lathe makes of a fixture, as shares of what transformers has; see difference().
struct Fidelity {
  double logits = 0, gradients = 0;
};
Fidelity measured_fidelity(const Fixture& fixture);

/// What a decoder with a cache puts behind the last sequence, as many tokens as `fixture.greedy`, and the logits before
/// them; the sequence comes in `chunks` (all at once where none are given).
struct Written {
  std::vector<float> logits;
  std::vector<int32_t> tokens;
};
Written write_greedily(const Fixture& fixture, std::vector<size_t> chunks = {});
std::vector<int32_t> greedy_tokens(const Fixture& fixture);

}  // namespace lathe::test
