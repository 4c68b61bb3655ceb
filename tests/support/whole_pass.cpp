#include "tests/support/whole_pass.h"

#include <algorithm>

#include "lathe/ops/attention.h"
#include "lathe/ops/rotary.h"
#include "lathe/tensor/host_bytes.h"
#include "lathe/tensor/sum.h"

namespace lathe {

Tensor tensor_of(const std::vector<int32_t>& values) {
  Tensor tensor = Tensor::empty({int64_t(values.size())}, DType::i32);
  if (tensor.is_meta()) return tensor;
  HostBytes host(tensor, HostBytes::Use::write);
  std::copy(values.begin(), values.end(), host.data<int32_t>());
  host.store();
  return tensor;
}

std::vector<float> values_of(const Tensor& tensor) {
  Tensor wide = converted(tensor, DType::f32);
  HostBytes host(wide, HostBytes::Use::read);
  return {host.data<float>(), host.data<float>() + wide.elements()};
}

WholePass::WholePass(const std::vector<int32_t>& tokens, std::vector<int32_t> offsets)
    : host_offsets_(std::move(offsets)) {
  tokens_ = tensor_of(tokens);
  offsets_ = tensor_of(host_offsets_);
  std::vector<int32_t> positions(tokens.size());
  for (size_t s = 0; s + 1 < host_offsets_.size(); ++s)
    std::iota(positions.begin() + host_offsets_[s], positions.begin() + host_offsets_[s + 1], 0);
  for (size_t s = 0; s + 1 < host_offsets_.size(); ++s)
    longest_ = std::max<int64_t>(longest_, host_offsets_[s + 1] - host_offsets_[s]);
  positions_ = tensor_of(positions);
}

Tensor WholePass::attend(int, const Tensor& qkv, const AttentionSpec& spec) {
  Tensor rotated = qkv;
  if (spec.rotary.dims)
    rotated = rotary(qkv, positions_, spec.heads + spec.kv_heads, for_length(spec.rotary, longest_));
  return attention(rotated, offsets_, tokens_.elements(), spec);
}

ModelConfig small_config(const std::string& model_type) {
  ModelConfig config;
  config.model_type = model_type;
  config.vocab_size = 40;
  config.hidden_size = 16;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 16;
  return config;
}

std::unique_ptr<Model> ready_model(const ModelConfig& config, DType compute, bool trained) {
  auto model = make_model(config);
  for (Parameter* parameter : model->inventory().parameters) {
    if (trained)
      parameter->materialize_trained(compute);
    else
      parameter->materialize(compute);
    initialize(*parameter, Random(1));
    parameter->refresh();
  }
  return model;
}

}  // namespace lathe
