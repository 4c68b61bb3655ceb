#pragma once

#include <span>

#include "lathe/infer/kv_cache.h"
#include "lathe/nn/pass.h"

namespace lathe {

/// New tokens of one sequence of the cache: a prompt, a piece of one, or the token chosen last.
struct Feed {
  int64_t sequence;
  std::span<const uint32_t> tokens;
  int64_t memory = -1;  ///< the sequence of the memory's cache that it is written about; -1: its own number
};

/// The end of an encoder's pass: rows of memory that no cache holds yet.
struct NewMemory {
  struct Part {
    int64_t sequence;      ///< of the memory's cache
    int64_t first, count;  ///< rows
  };
  Tensor rows;  ///< [tokens, hidden_size]
  std::vector<Part> parts;
};

/// What a step reads besides weights and cache: tensors of fixed address, refilled for each.
class StepInputs {
 public:
  /// Takes bytes for up to `tokens` new tokens of up to `sequences` sequences, on the current Runtime.
  StepInputs(int64_t tokens, int64_t sequences);
  /// Appends `feeds`, each of another sequence, to `cache`. `memory`: of an encoder, or null.
  void load(std::span<const Feed> feeds, KvCache& cache, const KvCache* memory = nullptr);
  /// Appends to each sequence of the last load(), which had one new token each, the one `chosen` for it, i32
  /// [sequences] on the device.
  void load_chosen(const Tensor& chosen, KvCache& cache);

  Tensor tokens, positions, slots;  ///< i32 [tokens]
  Tensor offsets;                   ///< i32 [sequences + 1]: where each one's new tokens lie
  Tensor last;                      ///< i32 [sequences]: its last new token
  Tensor starts, lengths;           ///< i32 [sequences]: its first slot, its tokens so far
  /// The same of memory: neighbours that are written about one text are its queries together, and read it once.
  Tensor memory_offsets, memory_starts, memory_lengths;

 private:
  std::vector<int64_t> loaded_;  ///< sequences
  std::vector<int32_t> host_;
  Tensor all_;
};

/// Forward passes over new tokens that attend to a cache and leave their keys and values there. Prefill, chunks of it
/// and decoding differ only in how many tokens a sequence has. Ends in the logits of each sequence's last token.
class CachedPass : public Pass {
 public:
  /// All must outlive it. `memory`: keys and values of an encoder's memory, or null.
  CachedPass(const StepInputs& inputs, KvCache& cache, KvCache* memory = nullptr)
      : inputs_(inputs), cache_(cache), memory_(memory) {}
  /// Memory whose keys and values the next pass makes and puts into the cache; null: there is none.
  void bring(const NewMemory* memory) { new_memory_ = memory; }

  const Tensor& tokens() const override { return inputs_.tokens; }
  const Tensor& positions() const override { return inputs_.positions; }
  Tensor attend(int layer, const Tensor& qkv, const AttentionSpec& spec) override;
  Tensor attend_memory(int layer, const Tensor& q, const Project& keys_and_values, const AttentionSpec& spec) override;
  Tensor rows(const Tensor& hidden) const override;

 private:
  const StepInputs& inputs_;
  KvCache& cache_;
  KvCache* memory_;
  const NewMemory* new_memory_ = nullptr;
};

}  // namespace lathe
