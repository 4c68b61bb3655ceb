#pragma once

#include <span>

#include "lathe/infer/kv_cache.h"
#include "lathe/nn/pass.h"

namespace lathe {

/// New tokens of one sequence of the cache: a prompt, a piece of one, or the token chosen last.
struct Feed {
  int64_t sequence;
  std::span<const uint32_t> tokens;
};

/// What a step reads besides weights and cache: tensors of fixed address, refilled for each.
class StepInputs {
 public:
  /// Takes bytes for up to `tokens` new tokens of up to `sequences` sequences, on the current Runtime.
  StepInputs(int64_t tokens, int64_t sequences);
  /// Appends `feeds`, each of another sequence, to `cache`.
  void load(std::span<const Feed> feeds, KvCache& cache);

  Tensor tokens, positions, slots;  ///< i32 [tokens]
  Tensor offsets;                   ///< i32 [sequences + 1]: where each one's new tokens lie
  Tensor last;                      ///< i32 [sequences]: its last new token
  Tensor starts, lengths;           ///< i32 [sequences]: its first slot, its tokens so far

 private:
  std::vector<int32_t> host_;
  Tensor all_;
};

/// Forward passes over new tokens that attend to a cache and leave their keys and values there. Prefill, chunks of it
/// and decoding differ only in how many tokens a sequence has. Ends in the logits of each sequence's last token.
class CachedPass : public Pass {
 public:
  /// Both must outlive it.
  CachedPass(const StepInputs& inputs, KvCache& cache) : inputs_(inputs), cache_(cache) {}

  const Tensor& tokens() const override { return inputs_.tokens; }
  const Tensor& positions() const override { return inputs_.positions; }
  Tensor attend(int layer, const Tensor& qkv, const AttentionSpec& spec) override;
  Tensor rows(const Tensor& hidden) const override;

 private:
  const StepInputs& inputs_;
  KvCache& cache_;
};

}  // namespace lathe
