#include "lathe/train/training_pass.h"

#include <algorithm>

#include "lathe/nn/loss.h"
#include "lathe/ops/dropout.h"
#include "lathe/tensor/transfer.h"

namespace lathe {

DeviceBatch::DeviceBatch(int64_t count, int64_t sequence_length, data::Packing packing)
    : pad_offsets_(packing == data::Packing::document && Runtime::current().device.backend == Backend::cuda) {
  PurposeScope scope(Purpose::workspace);
  tokens = Tensor::empty({count}, DType::i32);
  positions = Tensor::empty({count}, DType::i32);
  targets = Tensor::empty({count}, DType::i32);
  keys = Tensor::empty({count}, DType::i64);
  offsets_ = Tensor::empty({count + 1}, DType::i32);
  sequences.longest = sequence_length;
}

void DeviceBatch::load(const data::Batch& batch) {
  upload(std::span(batch.tokens), tokens);
  upload(std::span(batch.positions), positions);
  upload(std::span(batch.targets), targets);
  host_keys_.resize(batch.tokens.size());
  for (size_t s = 0; s + 1 < batch.sequence_offsets.size(); ++s)
    for (int32_t i = batch.sequence_offsets[s]; i < batch.sequence_offsets[s + 1]; ++i)
      host_keys_[size_t(i)] = batch.sequence_ids[s] + batch.positions[size_t(i)];
  upload(std::span<const int64_t>(host_keys_), keys);
  host_offsets_ = batch.sequence_offsets;
  if (pad_offsets_) host_offsets_.resize(size_t(offsets_.elements()), host_offsets_.back());
  sequences.offsets = offsets_.rows(0, int64_t(host_offsets_.size()));
  sequences.host = batch.sequence_offsets;
  upload(std::span<const int32_t>(host_offsets_), sequences.offsets);
}

TrainingPass::TrainingPass(const DeviceBatch& batch, const Tensor& scale, Random random, int64_t vocabulary,
                           int64_t loss_rows)
    : batch_(batch), scale_(scale), random_(random), vocabulary_(vocabulary), loss_rows_(loss_rows) {}

Tensor TrainingPass::attend(int, const Tensor& qkv, const AttentionSpec& spec) {
  if (spec.rotary.dims == 0) return attention(qkv, batch_.sequences, spec);
  RotarySpec turns = for_length(spec.rotary, batch_.sequences.longest);
  return attention(rotary(qkv, batch_.positions, spec.heads + spec.kv_heads, turns), batch_.sequences, spec);
}

Tensor TrainingPass::finish(const Tensor& hidden, const Project& head) {
  return chunked_cross_entropy(hidden, head, batch_.targets, scale_, loss_rows_, vocabulary_);
}

Tensor TrainingPass::drop(const Tensor& x, float probability, int layer, int use) const {
  return dropout(x, probability, random_.fork(uint64_t(layer)).fork(uint64_t(use)), batch_.keys);
}

int64_t rows_of_loss_chunk(const Device& device, int64_t vocabulary, int64_t rows) {
  bool gpu = device.backend == Backend::cuda;
  int64_t logits = gpu ? int64_t{512 << 20} / 2 : int64_t{64 << 20} / 4, least = gpu ? 2048 : 64;
  int64_t fitting = std::max(logits / vocabulary / 64 * 64, least);
  return std::min(fitting, rows);
}

}  // namespace lathe
