#include "lathe/infer/encoding_pass.h"

#include <algorithm>

#include "lathe/ops/rotary.h"
#include "lathe/ops/rows.h"
#include "lathe/tensor/transfer.h"

namespace lathe {

EncodingPass::EncodingPass(const EncodingLimits& limits) : limits_(limits) {
  PurposeScope scope(Purpose::workspace);
  all_ = Tensor::empty({3 * limits.tokens + 3 * limits.sequences + 1 + limits.rows}, DType::i32);
}

void EncodingPass::load(std::span<const WholeText> texts) {
  std::vector<int32_t> tokens, positions, types, rows, firsts, lasts, offsets = {0};
  for (const WholeText& whole : texts) {
    auto first = int32_t(tokens.size()), count = int32_t(whole.tokens.size());
    if (count == 0) throw InternalError("an encoder was given a text without tokens");
    tokens.insert(tokens.end(), whole.tokens.begin(), whole.tokens.end());
    for (int32_t i = 0; i < count; ++i) positions.push_back(i);
    types.insert(types.end(), whole.types.begin(), whole.types.end());
    types.resize(tokens.size(), 0);
    for (int32_t row : whole.rows) rows.push_back(first + row);
    firsts.push_back(first);
    lasts.push_back(first + count - 1);
    offsets.push_back(first + count);
  }
  if (texts.empty() || int64_t(tokens.size()) > limits_.tokens || int64_t(texts.size()) > limits_.sequences ||
      int64_t(rows.size()) > limits_.rows)
    throw InternalError(text("an encoder's pass of ", tokens.size(), " tokens in ", texts.size(), " texts"));
  host_.clear();
  auto part = [&](const std::vector<int32_t>& numbers) {
    host_.insert(host_.end(), numbers.begin(), numbers.end());
    return numbers.empty() ? Tensor() : all_.rows(int64_t(host_.size() - numbers.size()), int64_t(numbers.size()));
  };
  tokens_ = part(tokens), positions_ = part(positions), types_ = part(types), rows_ = part(rows);
  firsts_ = part(firsts), lasts_ = part(lasts);
  host_offsets_ = offsets;
  sequences_ = {part(offsets), int64_t(tokens.size()), host_offsets_};
  Tensor used = all_.rows(0, int64_t(host_.size()));
  upload(std::span<const int32_t>(host_), used);
}

void EncodingPass::load_largest(int64_t longest) {
  std::vector<uint32_t> tokens(size_t(std::min(longest, limits_.tokens)), 0);
  std::vector<int32_t> asked(size_t(limits_.rows), 0);
  std::vector<WholeText> texts;
  int64_t left = limits_.tokens;
  for (int64_t i = 0; i < limits_.sequences; ++i) {
    int64_t rest = limits_.sequences - i - 1, count = std::min(left - rest, longest);
    texts.push_back({std::span(tokens).first(size_t(count)), {}, {}});
    left -= count;
  }
  texts.front().rows = asked;
  load(texts);
}

Tensor EncodingPass::attend(int, const Tensor& qkv, const AttentionSpec& spec) {
  if (spec.rotary.dims == 0) return attention(qkv, sequences_, spec);
  return attention(rotary(qkv, positions_, spec.heads + spec.kv_heads, spec.rotary), sequences_, spec);
}

Tensor EncodingPass::attend_memory(int layer, const Tensor& q, const Project& keys_and_values,
                                   const AttentionSpec& spec) {
  if (!memory_) return Pass::attend_memory(layer, q, keys_and_values, spec);
  return attention(q, keys_and_values(memory_), sequences_, memory_sequences_, spec);
}

Tensor EncodingPass::rows(const Tensor& hidden) const { return rows_ ? gather_rows(hidden, rows_) : hidden; }

Tensor EncodingPass::ends(const Tensor& hidden, SequenceEnd end) const {
  return gather_rows(hidden, end == SequenceEnd::first ? firsts_ : lasts_);
}

Tensor through(std::span<const std::unique_ptr<Block>> blocks, Pass& pass) {
  Tensor hidden;
  for (const auto& block : blocks) hidden = block->forward(hidden, pass);
  return hidden;
}

}  // namespace lathe
