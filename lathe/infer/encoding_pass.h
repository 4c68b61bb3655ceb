#pragma once

#include <functional>
#include <span>

#include "lathe/nn/module.h"
#include "lathe/nn/pass.h"
#include "lathe/ops/global_attention.h"

namespace lathe {

/// A text that a model reads whole.
struct WholeText {
  std::span<const uint32_t> tokens;
  std::span<const int32_t> types = {};  ///< the segment of each token; empty: all of segment 0
  std::span<const int32_t> rows = {};   ///< the tokens that are asked about; all texts must name some, or none
  int64_t globals = 0;                  ///< its first tokens that all of it sees: see Pass::attend_with_globals()
};

/// How much an EncodingPass can hold.
struct EncodingLimits {
  int64_t tokens = 0;     ///< of all texts
  int64_t sequences = 1;  ///< texts
  int64_t rows = 0;       ///< tokens that are asked about; 0: texts name none
  int64_t globals = 0;    ///< global tokens of all texts, of which there must then be one at least; 0: none
};

/// Forward passes over whole texts, packed one after another without padding. Ends in what the head makes of the rows
/// that are asked about, or of all. Tensors of fixed address, so that a pass can be rehearsed at its largest.
class EncodingPass : public Pass {
 public:
  /// Takes bytes on the current Runtime.
  explicit EncodingPass(const EncodingLimits& limits);
  /// `texts` must fit the limits, and none of them be empty. Throws InternalError otherwise.
  void load(std::span<const WholeText> texts);
  /// The largest texts there can be, none of them longer than `longest`.
  void load_largest(int64_t longest);

  const Tensor& tokens() const override { return tokens_; }
  const Tensor& positions() const override { return positions_; }
  const Tensor& token_types() const override { return types_; }
  const Packed& sequences() const { return sequences_; }
  /// What attend_memory() reads from then on: rows of as many texts, packed as `sequences` says.
  void set_memory(const Tensor& rows, const Packed& sequences) { memory_ = rows, memory_sequences_ = sequences; }
  Tensor attend(int layer, const Tensor& qkv, const AttentionSpec& spec) override;
  Tensor attend_memory(int layer, const Tensor& q, const Project& keys_and_values, const AttentionSpec& spec) override;
  Tensor attend_with_globals(int layer, const Tensor& qkv, const GlobalProjections& globals,
                             const AttentionSpec& spec) override;
  Tensor rows(const Tensor& hidden) const override;
  Tensor ends(const Tensor& hidden, SequenceEnd end) const override;

 private:
  EncodingLimits limits_;
  Tensor all_, tokens_, positions_, types_, rows_, firsts_, lasts_;
  Packed sequences_;
  Tensor memory_;
  Packed memory_sequences_;
  GlobalTokens globals_;
  std::vector<int32_t> host_, host_offsets_, host_globals_, host_pieces_;
};

/// The blocks of `encoder` in turn, the result of the last.
Tensor through(std::span<const std::unique_ptr<Block>> blocks, Pass& pass);

}  // namespace lathe
