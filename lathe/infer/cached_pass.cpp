#include "lathe/infer/cached_pass.h"

#include "lathe/ops/advance_step.h"
#include "lathe/ops/attention_step.h"
#include "lathe/ops/rows.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/transfer.h"

namespace lathe {

StepInputs::StepInputs(int64_t most_tokens, int64_t sequences) {
  PurposeScope scope(Purpose::workspace);
  all_ = Tensor::empty({3 * most_tokens + 7 * sequences + 2}, DType::i32);
}

void StepInputs::load(std::span<const Feed> feeds, KvCache& cache, const KvCache* memory) {
  std::vector<int32_t> token, position, slot, offset = {0}, end, start, length;
  std::vector<int32_t> memory_offset = {0}, memory_start, memory_length;
  int64_t about = -1;
  loaded_.clear();
  for (const Feed& feed : feeds) {
    loaded_.push_back(feed.sequence);
    int64_t before = cache.length(feed.sequence), first = cache.first_slot(feed.sequence);
    cache.append(feed.sequence, int64_t(feed.tokens.size()));
    for (size_t i = 0; i < feed.tokens.size(); ++i) {
      token.push_back(int32_t(feed.tokens[i]));
      position.push_back(int32_t(before + int64_t(i)));
      slot.push_back(int32_t(first + before + int64_t(i)));
    }
    offset.push_back(int32_t(token.size()));
    end.push_back(int32_t(token.size()) - 1);
    start.push_back(int32_t(first));
    length.push_back(int32_t(cache.length(feed.sequence)));
    if (!memory) continue;
    if (int64_t text = feed.memory < 0 ? feed.sequence : feed.memory; text == about) {
      memory_offset.back() = int32_t(token.size());
    } else {
      about = text;
      memory_offset.push_back(int32_t(token.size()));
      memory_start.push_back(int32_t(memory->first_slot(text)));
      memory_length.push_back(int32_t(memory->length(text)));
    }
  }
  host_.clear();
  auto part = [&](const std::vector<int32_t>& numbers) {
    host_.insert(host_.end(), numbers.begin(), numbers.end());
    return all_.rows(int64_t(host_.size() - numbers.size()), int64_t(numbers.size()));
  };
  tokens = part(token), positions = part(position), slots = part(slot), offsets = part(offset);
  last = part(end), starts = part(start), lengths = part(length);
  if (memory)
    memory_offsets = part(memory_offset), memory_starts = part(memory_start), memory_lengths = part(memory_length);
  Tensor used = all_.rows(0, int64_t(host_.size()));
  upload(std::span<const int32_t>(host_), used);
}

void StepInputs::load_chosen(const Tensor& chosen, KvCache& cache) {
  for (int64_t sequence : loaded_) cache.append(sequence, 1);
  advance_step(chosen, tokens, positions, slots, lengths);
}

Tensor CachedPass::attend(int layer, const Tensor& qkv, const AttentionSpec& spec) {
  AttentionSpec own = spec;
  if (spec.rotary.dims) own.rotary = for_length(spec.rotary, cache_.capacity());
  return attention_step(qkv, {inputs_.positions, inputs_.slots, inputs_.offsets}, cache_.layer(layer),
                        {inputs_.starts, inputs_.lengths, cache_.capacity()}, own);
}

Tensor CachedPass::attend_memory(int layer, const Tensor& q, const Project& keys_and_values,
                                 const AttentionSpec& spec) {
  if (!memory_) return Pass::attend_memory(layer, q, keys_and_values, spec);
  Tensor& cache = memory_->layer(layer);
  if (new_memory_) {
    Tensor made = keys_and_values(new_memory_->rows);
    for (const NewMemory::Part& part : new_memory_->parts) {
      Tensor slots = cache.rows(memory_->first_slot(part.sequence), part.count);
      copy(made.rows(part.first, part.count), slots);
    }
  }
  return attention_cached(q, cache, inputs_.memory_offsets,
                          {inputs_.memory_starts, inputs_.memory_lengths, memory_->capacity()}, spec);
}

Tensor CachedPass::rows(const Tensor& hidden) const { return gather_rows(hidden, inputs_.last); }

}  // namespace lathe
