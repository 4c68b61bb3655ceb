#pragma once

#include "lathe/data/batch.h"
#include "lathe/nn/pass.h"

namespace lathe {

/// One micro-batch on the device: tensors of fixed address, refilled for each.
class DeviceBatch {
 public:
  /// Takes bytes for `tokens` tokens in rows of `sequence_length`, on the current Runtime.
  DeviceBatch(int64_t tokens, int64_t sequence_length, data::Packing packing);
  /// `batch` must outlive what is run with it, and have the shape that was promised.
  void load(const data::Batch& batch);

  Tensor tokens, positions, targets;  ///< i32 [tokens]
  Tensor keys;                        ///< i64 [tokens]: a number that no other token of the run has
  Packed sequences;

 private:
  Tensor offsets_;    ///< i32 [tokens + 1]: as many sequences as there could be
  bool pad_offsets_;  ///< with empty sequences, so that the number of documents changes no shape in a graph
  std::vector<int32_t> host_offsets_;
  std::vector<int64_t> host_keys_;
};

/// Forward passes that end in the loss of packed sequences. One serves all micro-batches.
class TrainingPass : public Pass {
 public:
  /// `batch` and `scale` (f32 [1]: what the summed loss is multiplied by) must outlive it. Logits have `vocabulary`
  /// real columns and exist for `loss_rows` rows at a time.
  TrainingPass(const DeviceBatch& batch, const Tensor& scale, Random random, int64_t vocabulary, int64_t loss_rows);

  const Tensor& tokens() const override { return batch_.tokens; }
  const Tensor& positions() const override { return batch_.positions; }
  Tensor attend(int layer, const Tensor& qkv, const AttentionSpec& spec) override;
  /// The loss f32 [1], without ever holding all logits.
  Tensor finish(const Tensor& hidden, const Project& head) override;
  /// Keyed by the token's own number: packing, accumulation and recomputation draw the same.
  Tensor drop(const Tensor& x, float probability, int layer, int use) const override;
  bool drops() const override { return true; }

 private:
  const DeviceBatch& batch_;
  const Tensor& scale_;
  Random random_;
  int64_t vocabulary_, loss_rows_;
};

/// The same without dropout: held-out loss.
class ScoringPass : public TrainingPass {
 public:
  using TrainingPass::TrainingPass;
  Tensor drop(const Tensor& x, float, int, int) const override { return x; }
  bool drops() const override { return false; }
};

/// Rows whose logits of `vocabulary` tokens exist at a time where nobody says otherwise; at most `rows`. On a CPU they
/// take about 64 MiB as f32; on a GPU about 512 MiB as bf16, and there are no fewer than 2048 of them: each chunk's
/// products must fill it, and each reads and writes the head's whole gradient once more.
int64_t rows_of_loss_chunk(const Device& device, int64_t vocabulary, int64_t rows);

}  // namespace lathe
