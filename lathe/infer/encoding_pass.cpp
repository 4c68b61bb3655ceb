#include "lathe/infer/encoding_pass.h"

#include <algorithm>

#include "lathe/ops/rotary.h"
#include "lathe/ops/rows.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

/// What GlobalTokens are made of, text by text.
struct GlobalNumbers {
  std::vector<int32_t> rows, places, offsets = {0}, pieces = {0};

  /// A text of `count` tokens from `first` on, the first `globals` of which are global.
  void add(int32_t first, int32_t count, int32_t globals) {
    for (int32_t i = 0; i < count; ++i) {
      places.push_back(i < globals ? int32_t(rows.size()) : -1);
      if (i < globals) rows.push_back(first + i);
    }
    offsets.push_back(int32_t(rows.size()));
    pieces.push_back(first + globals);
    pieces.push_back(first + count);
  }
};

}  // namespace

EncodingPass::EncodingPass(const EncodingLimits& limits) : limits_(limits) {
  PurposeScope scope(Purpose::workspace);
  int64_t numbers = 3 * limits.tokens + 3 * limits.sequences + 1 + limits.rows;
  if (limits.globals > 0) numbers += limits.globals + limits.tokens + 3 * limits.sequences + 2;
  all_ = Tensor::empty({numbers}, DType::i32);
}

void EncodingPass::load(std::span<const WholeText> texts) {
  std::vector<int32_t> tokens, positions, types, rows, firsts, lasts, offsets = {0};
  GlobalNumbers globals;
  int64_t longest = 0;
  for (const WholeText& whole : texts) {
    longest = std::max(longest, int64_t(whole.tokens.size()));
    auto first = int32_t(tokens.size()), count = int32_t(whole.tokens.size());
    if (count == 0) throw InternalError("an encoder was given a text without tokens");
    tokens.insert(tokens.end(), whole.tokens.begin(), whole.tokens.end());
    for (int32_t i = 0; i < count; ++i) positions.push_back(i);
    types.insert(types.end(), whole.types.begin(), whole.types.end());
    types.resize(tokens.size(), 0);
    for (int32_t row : whole.rows) rows.push_back(first + row);
    globals.add(first, count, int32_t(std::max<int64_t>(whole.globals, 0)));
    firsts.push_back(first);
    lasts.push_back(first + count - 1);
    offsets.push_back(first + count);
  }
  if (texts.empty() || int64_t(tokens.size()) > limits_.tokens || int64_t(texts.size()) > limits_.sequences ||
      int64_t(rows.size()) > limits_.rows || int64_t(globals.rows.size()) > limits_.globals ||
      globals.rows.empty() != (limits_.globals == 0))
    throw InternalError(text("an encoder's pass of ", tokens.size(), " tokens in ", texts.size(), " texts, ",
                             globals.rows.size(), " tokens global"));
  host_.clear();
  auto part = [&](const std::vector<int32_t>& numbers) {
    host_.insert(host_.end(), numbers.begin(), numbers.end());
    return numbers.empty() ? Tensor() : all_.rows(int64_t(host_.size() - numbers.size()), int64_t(numbers.size()));
  };
  tokens_ = part(tokens), positions_ = part(positions), types_ = part(types), rows_ = part(rows);
  firsts_ = part(firsts), lasts_ = part(lasts);
  host_offsets_ = offsets;
  sequences_ = {part(offsets), longest, host_offsets_};
  if (limits_.globals > 0) {
    host_globals_ = globals.offsets, host_pieces_ = globals.pieces;
    globals_ = {part(globals.rows),
                part(globals.places),
                {part(globals.offsets), longest, host_globals_},
                {part(globals.pieces), longest, host_pieces_}};
  }
  Tensor used = all_.rows(0, int64_t(host_.size()));
  upload(std::span<const int32_t>(host_), used);
}

void EncodingPass::load_largest(int64_t longest) {
  std::vector<uint32_t> tokens(size_t(std::min(longest, limits_.tokens)), 0);
  std::vector<int32_t> asked(size_t(limits_.rows), 0);
  std::vector<WholeText> texts;
  int64_t left = limits_.tokens, globals = limits_.globals;
  for (int64_t i = 0; i < limits_.sequences; ++i) {
    int64_t rest = limits_.sequences - i - 1, count = std::min(left - rest, longest);
    texts.push_back(
        {std::span(tokens).first(size_t(count)), {}, {}, std::max<int64_t>(std::min(globals - rest, count), 0)});
    left -= count;
    globals -= texts.back().globals;
  }
  texts.front().rows = asked;
  load(texts);
}

Tensor EncodingPass::attend(int, const Tensor& qkv, const AttentionSpec& spec) {
  if (spec.rotary.dims == 0) return attention(qkv, sequences_, spec);
  RotarySpec turns = for_length(spec.rotary, sequences_.longest);
  return attention(rotary(qkv, positions_, spec.heads + spec.kv_heads, turns), sequences_, spec);
}

Tensor EncodingPass::attend_memory(int layer, const Tensor& q, const Project& keys_and_values,
                                   const AttentionSpec& spec) {
  if (!memory_) return Pass::attend_memory(layer, q, keys_and_values, spec);
  return attention(q, keys_and_values(memory_), sequences_, memory_sequences_, spec);
}

Tensor EncodingPass::attend_with_globals(int layer, const Tensor& qkv, const GlobalProjections& globals,
                                         const AttentionSpec& spec) {
  if (limits_.globals == 0) return attend(layer, qkv, spec);
  AttentionSpec whole = spec;
  whole.window = 0;
  Tensor wide = attention(globals.queries(gather_rows(globals.hidden, globals_.rows)),
                          globals.keys_and_values(globals.hidden), globals_.sequences, sequences_, whole);
  return attention_with_globals(qkv, wide, sequences_, globals_, spec);
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
