#pragma once

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "lathe/models/family.h"
#include "lathe/nn/pass.h"
#include "lathe/tensor/random.h"

namespace lathe {

/// One or more whole sequences, one after another.
class WholePass : public Pass {
 public:
  WholePass(const std::vector<int32_t>& tokens, std::vector<int32_t> offsets);
  const Tensor& tokens() const override { return tokens_; }
  const Tensor& positions() const override { return positions_; }
  Tensor attend(int layer, const Tensor& qkv, const AttentionSpec& spec) override;

 private:
  Tensor tokens_, positions_, offsets_;
  std::vector<int32_t> host_offsets_;
  int64_t longest_ = 0;
};

/// An i32 tensor of these values; without them on a meta device.
Tensor tensor_of(const std::vector<int32_t>& values);
std::vector<float> values_of(const Tensor& tensor);

/// Two layers of width 16, 40 tokens, 16 positions.
ModelConfig small_config(const std::string& model_type);

/// A model with bytes, initialized from seed 1.
std::unique_ptr<Model> ready_model(const ModelConfig& config, DType compute = DType::f32, bool trained = false);

}  // namespace lathe
